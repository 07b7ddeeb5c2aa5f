// fork, vfork, clone, exec, wait, exit codes, groups, sessions, orphans, limits.
#include "check.h"
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>

static char *self;

static int reap(const char *what) {
    int status = 0;
    pid_t pid = wait(&status);
    if (pid < 0) {
        printf("%s: wait errno %d\n", what, errno);
        return -1;
    }
    show_status(what, status);
    return status;
}

static void waiting(void) {
    SHOW(wait(NULL));
    fflush(stdout);
    if (!fork()) _exit(7);
    reap("exit 7");
    if (!fork()) _exit(256 + 3);
    reap("exit 259");
    if (!fork()) abort();
    reap("abort");
    if (!fork()) *(volatile int *)8 = 1;
    reap("wild store");
    if (!fork()) {
        int volatile zero = 0;
        _exit(1 / zero);
    }
    reap("division by zero");
    if (!fork()) __asm__ volatile("ud2");
    reap("ud2");
    if (!fork()) __asm__ volatile("hlt");
    reap("hlt");
    if (!fork()) __asm__ volatile("int3");
    reap("int3");
    pid_t child = fork();
    if (!child) for (;;) pause();
    int status;
    SHOW(waitpid(child, &status, WNOHANG));
    SHOW(waitpid(1, &status, WNOHANG));
    SHOW(waitpid(-1, &status, 0x40));
    OK(kill(child, SIGSTOP));
    CHECK(waitpid(child, &status, WUNTRACED) == child);
    show_status("stopped", status);
    OK(kill(child, SIGCONT));
    CHECK(waitpid(child, &status, WCONTINUED) == child);
    show_status("continued", status);
    OK(kill(child, SIGKILL));
    siginfo_t info;
    memset(&info, 0, sizeof info);
    SHOW(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
    printf("code %d status %d uid %d\n", info.si_code, info.si_status, info.si_uid);
    CHECK(info.si_pid == child);
    struct rusage usage;
    CHECK(wait4(child, &status, 0, &usage) == child);
    show_status("killed", status);
    SHOW(waitid(P_PID, child, &info, WEXITED));
    SHOW(waitid(P_ALL, 0, &info, 0));
    SHOW(waitid(99, 0, &info, WEXITED));
    SHOW(kill(child, 0));
    SHOW(kill(getpid(), 99));
}

static int clone_child(void *arg) {
    *(int *)arg = 5;
    return 9;
}

static void cloning(void) {
    static char stack[65536] __attribute__((aligned(16)));
    int value = 0;
    fflush(stdout);
    pid_t child = clone(clone_child, stack + sizeof stack, CLONE_VM | SIGCHLD, &value);
    CHECK(child > 0);
    reap("clone with CLONE_VM");
    SHOW(value);
    child = clone(clone_child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &value);
    reap("clone like vfork");
    value = 0;
    child = clone(clone_child, stack + sizeof stack, SIGCHLD, &value);
    reap("clone like fork");
    SHOW(value);
    child = clone(clone_child, stack + sizeof stack, CLONE_VM, &value);
    SHOW(waitpid(child, NULL, 0));
    CHECK(waitpid(child, NULL, __WALL) == child);
    SHOW(syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0));
    SHOW(syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0));
    SHOW(syscall(SYS_clone3, wild, 88));
    SHOW(syscall(SYS_clone3, wild, 8));
    volatile int seen = 1;
    if (!vfork()) {
        seen = 2;
        _exit(4);
    }
    reap("vfork");
    SHOW(seen);
}

static void executing(void) {
    char *argv[] = {"name", "-child", "a b", "", NULL}, *envp[] = {"X=1", NULL}, *none[] = {NULL};
    SHOW(execve("none", argv, envp));
    SHOW(execve(".", argv, envp));
    int fd = open("plain", O_CREAT | O_WRONLY | O_TRUNC, 0644);
    SHOW(write(fd, "#!/none/such\n", 13));
    close(fd);
    SHOW(execve("plain", argv, envp));
    SHOW(chmod("plain", 0755));
    SHOW(execve("plain", argv, envp));
    fd = open("garbage", O_CREAT | O_WRONLY | O_TRUNC, 0755);
    SHOW(write(fd, "\177ELF garbage that is no program at all", 30));
    SHOW(execve("garbage", argv, envp));
    close(fd);
    SHOW(execve("garbage", argv, envp));
    SHOW(execve(self, wild, envp));
    SHOW(execve(wild, argv, envp));
    fd = open("script", O_CREAT | O_WRONLY | O_TRUNC, 0755);
    dprintf(fd, "#!%s -script  with blanks \n", self);
    close(fd);
    fflush(stdout);
    if (!fork()) _exit(execve(self, argv, envp));
    reap("exec");
    if (!fork()) _exit(execve("./script", argv, envp));
    reap("script");
    if (!fork()) {
        int keep = open("plain", O_RDONLY), drop = open("plain", O_RDONLY | O_CLOEXEC);
        signal(SIGUSR1, SIG_IGN);
        signal(SIGUSR2, exit);
        char a[12], b[12];
        sprintf(a, "%d", keep);
        sprintf(b, "%d", drop);
        char *args[] = {self, "-state", a, b, NULL};
        _exit(execve(self, args, none));
    }
    reap("state over exec");
    int exe = open(self, O_RDONLY | O_CLOEXEC);
    if (!fork()) _exit(syscall(SYS_execveat, exe, "", argv, envp, 0x1000));
    reap("execveat");
    SHOW(syscall(SYS_execveat, exe, "", argv, envp, 0));
    char *huge = malloc(200000);
    memset(huge, 'h', 199999);
    huge[199999] = 0;
    char *big[] = {self, huge, NULL};
    SHOW(execve(self, big, envp));
}

static void groups(void) {
    CHECK(getpgrp() == getpgid(0));
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        SHOW(setpgid(0, 0));
        CHECK(getpgrp() == getpid());
        SHOW(setsid());
        pid_t inner = fork();
        if (!inner) {
            CHECK(setsid() == getpid());
            CHECK(getsid(0) == getpid());
            CHECK(getpgrp() == getpid());
            SHOW(setpgid(0, 0));
            SHOW(open("/dev/tty", O_RDWR));
            exit(0);
        }
        waitpid(inner, NULL, 0);
        SHOW(setpgid(1, 0));
        SHOW(setpgid(99999, 0));
        SHOW(setpgid(0, -1));
        SHOW(getpgid(99999));
        SHOW(getsid(99999));
        exit(0);
    }
    reap("group child");
    SHOW(prctl(PR_SET_CHILD_SUBREAPER, 1));
    fflush(stdout);
    pid_t middle = fork();
    if (!middle) {
        pid_t me = getpid();
        if (!fork()) {
            while (getppid() == me) sleep_ms(1);
            _exit(11);
        }
        _exit(12);
    }
    int status;
    waitpid(middle, &status, 0);
    show_status("middle", status);
    reap("orphan");
    SHOW(prctl(PR_SET_CHILD_SUBREAPER, 0));
}

static void attributes(void) {
    char name[16] = {0};
    SHOW(prctl(PR_SET_NAME, "a long name that is cut"));
    SHOW(prctl(PR_GET_NAME, name));
    puts(name);
    SHOW(prctl(9999));
    struct rlimit limit;
    SHOW(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = 20;
    limit.rlim_max = 30;
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        SHOW(setrlimit(RLIMIT_NOFILE, &limit));
        int fd, last = -1;
        while ((fd = dup(0)) >= 0) last = fd;
        printf("last %d errno %d\n", last, errno);
        limit.rlim_cur = 40;
        SHOW(setrlimit(RLIMIT_NOFILE, &limit));
        SHOW(getrlimit(99, &limit));
        SHOW(prlimit(0, RLIMIT_NOFILE, NULL, &limit));
        printf("%lu %lu\n", (long)limit.rlim_cur, (long)limit.rlim_max);
        // Standard output may be a file: nothing is printed under the limit.
        getrlimit(RLIMIT_FSIZE, &limit);
        limit.rlim_cur = 100;
        signal(SIGXFSZ, SIG_IGN);
        close(last);
        int file = open("limited", O_CREAT | O_RDWR | O_TRUNC, 0600);
        char block[150] = {0};
        setrlimit(RLIMIT_FSIZE, &limit);
        long first = write(file, block, 150), second = write(file, block, 1);
        int error = errno, cut = ftruncate(file, 200);
        limit.rlim_cur = limit.rlim_max;
        SHOW(setrlimit(RLIMIT_FSIZE, &limit));
        printf("written %ld, then %ld with errno %d, ftruncate %d\n", first, second, error, cut);
        exit(0);
    }
    reap("limits");
    struct utsname uts;
    SHOW(uname(&uts));
    puts(uts.sysname);
    puts(uts.machine);
    SHOW(uname(wild));
    SHOW(nice(5));
    SHOW(getpriority(PRIO_PROCESS, 0));
    SHOW(setpriority(PRIO_PROCESS, 99999, 0));
    SHOW(setpriority(77, 0, 0));
    SHOW(setpriority(PRIO_PROCESS, 0, 0));
    SHOW(sched_getscheduler(0));
    SHOW(sched_get_priority_max(SCHED_FIFO));
    SHOW(sched_get_priority_min(99));
    cpu_set_t set;
    CPU_ZERO(&set);
    CHECK(syscall(SYS_sched_getaffinity, 0, sizeof set, &set) > 0);
    CHECK(CPU_ISSET(0, &set));
    SHOW(syscall(SYS_sched_getaffinity, 0, 1, &set));
    CPU_ZERO(&set);
    SHOW(sched_setaffinity(0, sizeof set, &set));
    SHOW(syscall(SYS_sched_getaffinity, 99999, sizeof set, &set));
    CHECK(getpid() == syscall(SYS_gettid));
    SHOW(syscall(1000));
    SHOW(syscall(400));
    SHOW(syscall(-1));
}

int main(int argc, char **argv, char **envp) {
    self = argv[0];
    if (argc > 1 && (!strcmp(argv[1], "-child") || !strncmp(argv[1], "-script", 7))) {
        for (int i = 1; i < argc; i++) printf("argv[%d] = <%s>\n", i, argv[i]);
        for (int i = 0; envp[i]; i++) printf("env %s\n", envp[i]);
        return 3;
    }
    if (argc > 1 && !strcmp(argv[1], "-state")) {
        struct sigaction action;
        SHOW(fcntl(atoi(argv[2]), F_GETFD));
        SHOW(fcntl(atoi(argv[3]), F_GETFD));
        sigaction(SIGUSR1, NULL, &action);
        CHECK(action.sa_handler == SIG_IGN);
        sigaction(SIGUSR2, NULL, &action);
        CHECK(action.sa_handler == SIG_DFL);
        return 0;
    }
    waiting();
    cloning();
    executing();
    groups();
    attributes();
    return 0;
}
