// clone and clone3 flags, the wait calls' options, pidfds, sessions and groups, limits and what
// they do.
#include "check.h"
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

struct clone_request {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ull
#endif
#define WCLONED 0x80000000u
#define ALL 0x40000000u

static long clone3(struct clone_request *request, size_t size) {
    fflush(stdout);
    return syscall(SYS_clone3, request, size);
}

static void show_info(const char *what, const siginfo_t *info, pid_t child) {
    printf("%s: signo %d code %d status %d child %d\n", what, info->si_signo, info->si_code, info->si_status,
           info->si_pid == child);
    fflush(stdout);
}

static void cloning(void) {
    struct clone_request request = {.exit_signal = SIGCHLD};
    int status, pidfd = -1, stored = 0;
    SHOW(clone3(&request, 63));
    SHOW(clone3(&request, 4097));
    struct { struct clone_request known; uint64_t more; } large = {{.exit_signal = SIGCHLD}, 1};
    SHOW(clone3(&large.known, sizeof large));
    request.exit_signal = 65;
    SHOW(clone3(&request, sizeof request));
    request.exit_signal = SIGCHLD;
    request.flags = 0x40;
    SHOW(clone3(&request, sizeof request));
    request.flags = CLONE_THREAD;
    SHOW(clone3(&request, sizeof request));
    request.flags = CLONE_SIGHAND;
    SHOW(clone3(&request, sizeof request));
    request.flags = 0;
    request.stack = 4096;
    SHOW(clone3(&request, sizeof request));
    request.stack = 0;
    request.stack_size = 4096;
    SHOW(clone3(&request, sizeof request));
    request.stack_size = 0;
    request.set_tid_size = 1;
    SHOW(clone3(&request, sizeof request));
    request.set_tid_size = 0;
    request.flags = CLONE_PIDFD | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID;
    request.pidfd = (long)&pidfd;
    request.parent_tid = (long)&stored;
    static int in_child;
    request.child_tid = (long)&in_child;
    pid_t child = clone3(&request, sizeof request);
    if (!child) _exit(in_child == getpid() ? 21 : 1);
    CHECK(stored == child);
    CHECK(pidfd > 2);
    SHOW(fcntl(pidfd, F_GETFD));
    waitpid(child, &status, 0);
    show_status("child", status);
    close(pidfd);
    // Another exit signal: only __WCLONE or __WALL waits for it, and the signal comes.
    request = (struct clone_request){.exit_signal = SIGUSR1};
    signal(SIGUSR1, SIG_IGN);
    child = clone3(&request, sizeof request);
    if (!child) _exit(22);
    sleep_ms(20);
    SHOW(waitpid(child, &status, WNOHANG));
    CHECK(waitpid(child, &status, WCLONED) == child);
    show_status("cloned child", status);
    request.exit_signal = 0;
    child = clone3(&request, sizeof request);
    if (!child) _exit(23);
    CHECK(waitpid(child, &status, ALL) == child);
    show_status("silent child", status);
    // CLONE_PARENT makes a sibling.
    int pipes[2];
    pipe(pipes);
    pid_t first = fork();
    if (!first) {
        request = (struct clone_request){.flags = CLONE_PARENT};
        pid_t sibling = clone3(&request, sizeof request);
        if (!sibling) _exit(24);
        write(pipes[1], &sibling, sizeof sibling);
        _exit(0);
    }
    pid_t sibling;
    read(pipes[0], &sibling, sizeof sibling);
    waitpid(first, &status, 0);
    CHECK(waitpid(sibling, &status, 0) == sibling);
    show_status("sibling", status);
    // Shared descriptors, shared working directory, shared memory while the parent waits.
    request = (struct clone_request){.flags = CLONE_FILES | CLONE_FS, .exit_signal = SIGCHLD};
    mkdir("below", 0755);
    child = clone3(&request, sizeof request);
    if (!child) {
        chdir("below");
        umask(0123);
        dup2(pipes[0], 50);
        _exit(0);
    }
    waitpid(child, &status, 0);
    SHOW(fcntl(50, F_GETFD));
    SHOW(umask(022));
    SHOW(chdir("../below"));
    SHOW(chdir(".."));
    static volatile int shared;
    request = (struct clone_request){.flags = CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD};
    child = vfork();
    if (!child) {
        shared = 77;
        _exit(0);
    }
    SHOW(shared);
    waitpid(child, &status, 0);
    request = (struct clone_request){.flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD};
    signal(SIGUSR2, SIG_IGN);
    child = clone3(&request, sizeof request);
    if (!child) {
        struct sigaction usr1, usr2;
        sigaction(SIGUSR1, NULL, &usr1);
        sigaction(SIGUSR2, NULL, &usr2);
        _exit(usr1.sa_handler == SIG_IGN ? 25 : usr2.sa_handler == SIG_IGN ? 26 : 27);
    }
    waitpid(child, &status, 0);
    show_status("handlers cleared", status);
    signal(SIGUSR1, SIG_DFL);
    SHOW(syscall(SYS_clone, CLONE_THREAD | CLONE_SIGHAND, 0, 0, 0, 0));
    SHOW(syscall(SYS_clone, CLONE_FS | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0));
    SHOW(syscall(SYS_clone, CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD, 0, &pidfd, 0, 0));
}

static void waiting(void) {
    siginfo_t info;
    int status;
    struct rusage usage;
    SHOW(waitid(P_ALL, 0, &info, 0));
    SHOW(waitid(P_ALL, 0, &info, WNOHANG));
    SHOW(waitid(9, 0, &info, WEXITED));
    SHOW(waitid(P_PID, 0, &info, WEXITED));
    SHOW(waitid(P_PID, -1, &info, WEXITED));
    SHOW(waitid(P_PID, 99999, &info, WEXITED));
    SHOW(waitid(P_ALL, 0, &info, WEXITED | 0x100));
    SHOW(waitpid(-1, &status, 0x100));
    SHOW(waitpid(-1, &status, 0));
    SHOW(waitpid(INT32_MIN, &status, 0));
    fflush(stdout);
    // The child ends when it is told to, so that it can be seen to go on before.
    int go[2];
    char byte;
    if (pipe(go)) return;
    pid_t child = fork();
    if (!child) {
        raise(SIGSTOP);
        _exit(read(go[0], &byte, 1) == 1 ? 33 : 34);
    }
    memset(&info, 0x55, sizeof info);
    SHOW(waitid(P_PID, child, &info, WEXITED | WNOHANG));
    printf("nothing yet: %d %d\n", info.si_signo, info.si_pid);
    SHOW(waitid(P_PID, child, &info, WSTOPPED | WNOWAIT));
    show_info("stopped, kept", &info, child);
    SHOW(waitid(P_PID, child, &info, WSTOPPED));
    show_info("stopped", &info, child);
    SHOW(waitid(P_PID, child, &info, WSTOPPED | WNOHANG));
    kill(child, SIGCONT);
    SHOW(waitid(P_PID, child, &info, WCONTINUED));
    show_info("continued", &info, child);
    SHOW(write(go[1], "x", 1));
    SHOW(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
    SHOW(waitid(P_PID, child, &info, WSTOPPED));
    close(go[0]);
    close(go[1]);
    show_info("ended, kept", &info, child);
    memset(&usage, 0x55, sizeof usage);
    SHOW(syscall(SYS_waitid, P_PID, child, &info, WEXITED, &usage));
    show_info("ended", &info, child);
    CHECK(usage.ru_utime.tv_sec < 5 && usage.ru_nsignals == 0);
    SHOW(waitid(P_PID, child, &info, WEXITED));
    fflush(stdout);
    child = fork();
    if (!child) {
        signal(SIGABRT, SIG_DFL);
        abort();
    }
    SHOW(waitid(P_ALL, 0, &info, WEXITED));
    CHECK(info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED);
    SHOW(info.si_status);
    child = fork();
    if (!child) {
        setpgid(0, 0);
        _exit(34);
    }
    setpgid(child, child);
    SHOW(waitpid(0, &status, 0));
    CHECK(waitpid(-child, &status, 0) == child);
    show_status("of the group", status);
    // SIGCHLD ignored: nothing is left to wait for, and the wait lasts until all have ended.
    signal(SIGCHLD, SIG_IGN);
    fflush(stdout);
    if (!fork()) {
        sleep_ms(30);
        _exit(0);
    }
    SHOW(wait(&status));
    struct sigaction action = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
    sigaction(SIGCHLD, &action, NULL);
    if (!fork()) _exit(0);
    SHOW(wait(&status));
    signal(SIGCHLD, SIG_DFL);
    // An orphan goes to the subreaper.
    SHOW(prctl(PR_SET_CHILD_SUBREAPER, 1));
    fflush(stdout);
    child = fork();
    if (!child) {
        if (!fork()) {
            while (getppid() != 1 && getppid() == getpid() - 1) sleep_ms(1);
            sleep_ms(20);
            _exit(35);
        }
        _exit(36);
    }
    CHECK(waitpid(child, &status, 0) == child);
    show_status("parent", status);
    SHOW(wait(&status) > 0);
    show_status("orphan", status);
    SHOW(prctl(PR_SET_CHILD_SUBREAPER, 0));
}

static void pidfds(void) {
    siginfo_t info;
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        for (;;) pause();
    }
    int fd = syscall(SYS_pidfd_open, child, 0);
    OK(fd);
    SHOW(fcntl(fd, F_GETFD));
    SHOW(fcntl(fd, F_GETFL));
    SHOW(syscall(SYS_pidfd_open, child, 1));
    SHOW(syscall(SYS_pidfd_open, -1, 0));
    SHOW(syscall(SYS_pidfd_open, 0, 0));
    SHOW(syscall(SYS_pidfd_open, 99999, 0));
    SHOW(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
    SHOW(syscall(SYS_pidfd_send_signal, fd, 99, NULL, 0));
    SHOW(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 77));
    SHOW(syscall(SYS_pidfd_send_signal, 1, 0, NULL, 0));
    SHOW(syscall(SYS_pidfd_send_signal, 99, 0, NULL, 0));
    memset(&info, 0, sizeof info);
    info.si_signo = SIGUSR1;
    SHOW(syscall(SYS_pidfd_send_signal, fd, SIGUSR2, &info, 0));
    char c;
    SHOW(read(fd, &c, 1));
    SHOW(write(fd, &c, 1));
    struct pollfd one = {fd, POLLIN, 0};
    SHOW(poll(&one, 1, 0));
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED | WNOHANG));
    int nonblocking = syscall(SYS_pidfd_open, child, O_NONBLOCK);
    SHOW(waitid(P_PIDFD, nonblocking, &info, WEXITED));
    SHOW(waitid(P_PIDFD, 1, &info, WEXITED));
    SHOW(waitid(P_PIDFD, 99, &info, WEXITED));
    SHOW(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
    SHOW(poll(&one, 1, 2000));
    printf("events %x\n", one.revents);
    SHOW(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED));
    show_info("by pidfd", &info, child);
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED));
    SHOW(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
    SHOW(poll(&one, 1, 0));
    printf("events %x\n", one.revents);
    SHOW(syscall(SYS_pidfd_open, child, 0));
    close(fd);
    close(nonblocking);
}

static void groups(void) {
    SHOW(getpgid(99999));
    SHOW(getsid(99999));
    SHOW(getpgid(-1));
    SHOW(setpgid(-1, 0));
    SHOW(setpgid(0, -1));
    SHOW(setpgid(99999, 0));
    SHOW(setpgid(1, 0));
    fflush(stdout);
    int pipes[2];
    char c;
    pipe(pipes);
    pid_t child = fork();
    if (!child) {
        SHOW(setsid() == getpid());
        SHOW(setsid());
        SHOW(setpgid(0, 0));
        CHECK(getsid(0) == getpid() && getpgrp() == getpid());
        fflush(stdout);
        write(pipes[1], "r", 1);
        for (;;) pause();
    }
    read(pipes[0], &c, 1);
    SHOW(setpgid(child, child));
    SHOW(setpgid(0, child));
    CHECK(getpgid(child) == child && getsid(child) == child);
    SHOW(kill(-child, 0));
    SHOW(kill(-child, SIGKILL));
    int status;
    waitpid(child, &status, 0);
    show_status("session leader", status);
    SHOW(kill(-child, 0));
    SHOW(kill(child, 0));
    SHOW(kill(0, 77));
    child = fork();
    if (!child) {
        execl("/proc/self/exe", "process-control", "-wait", (char *)NULL);
        _exit(1);
    }
    sleep_ms(60);
    SHOW(setpgid(child, child));
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
}

static long limited(int resource, long soft, long (*what)(void)) {
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        struct rlimit limit;
        getrlimit(resource, &limit);
        limit.rlim_cur = soft;
        if (setrlimit(resource, &limit)) _exit(99);
        _exit(what());
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static long open_many(void) {
    int n = 0;
    while (dup(1) >= 0) n++;
    return errno == EMFILE && dup2(1, 12) == -1 && errno == EBADF && fcntl(1, F_DUPFD, 12) == -1 && errno == EINVAL ? n : 200;
}

static long write_large(void) {
    int fd = open("large", O_RDWR | O_CREAT | O_TRUNC, 0600);
    char bytes[200] = {0};
    signal(SIGXFSZ, SIG_IGN);
    long first = write(fd, bytes, 200), second = write(fd, bytes, 1);
    return first == 100 && second == -1 && errno == EFBIG ? 0 : 1;
}

static long write_large_signal(void) {
    int fd = open("large", O_RDWR | O_CREAT | O_TRUNC, 0600);
    char bytes[200] = {0};
    write(fd, bytes, 200);
    write(fd, bytes, 1);
    return 0;
}

static long map_much(void) {
    void *p = mmap(NULL, 256 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED && errno == ENOMEM ? 0 : 1;
}

static long break_far(void) {
    long now = syscall(SYS_brk, 0);
    return syscall(SYS_brk, now + (64 << 20)) == now ? 0 : 1;
}

static long fork_once(void) {
    setuid(4321);
    pid_t child = fork();
    if (!child) _exit(0);
    return child == -1 ? errno : 0;
}

static long lock_much(void) {
    setuid(4321);
    void *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mlock(p, 1 << 20) == -1 ? errno : 0;
}

static long queue_signals(void) {
    sigset_t all;
    setuid(4321);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    union sigval value = {0};
    int n = 0;
    while (n < 100 && !sigqueue(getpid(), SIGRTMIN, value)) n++;
    return n < 100 && errno == EAGAIN ? 0 : 1;
}

static volatile int passed;

static void on_xcpu(int signal) {
    (void)signal;
    passed++;
}

static long use_cpu(void) {
    signal(SIGXCPU, on_xcpu);
    while (!passed) {}
    struct rlimit limit;
    getrlimit(RLIMIT_CPU, &limit);
    return limit.rlim_cur;
}

static volatile char *deep(int n) {
    volatile char frame[4096];
    frame[0] = n;
    return n ? deep(n - 1) + frame[0] : NULL;
}

static long recurse(void) {
    return deep(100) == NULL;
}

static void limits(void) {
    struct rlimit limit = {5, 4}, old;
    SHOW(setrlimit(RLIMIT_CORE, &limit));
    SHOW(getrlimit(16, &limit));
    SHOW(setrlimit(-1, &limit));
    SHOW(syscall(SYS_prlimit64, 99999, RLIMIT_CORE, NULL, &old));
    SHOW(syscall(SYS_prlimit64, -1, RLIMIT_CORE, NULL, &old));
    limit = (struct rlimit){3, 4};
    SHOW(syscall(SYS_prlimit64, getpid(), RLIMIT_CORE, &limit, NULL));
    SHOW(syscall(SYS_prlimit64, 0, RLIMIT_CORE, NULL, &old));
    printf("%ld %ld\n", (long)old.rlim_cur, (long)old.rlim_max);
    limit.rlim_cur = limit.rlim_max = 1 << 30;
    getrlimit(RLIMIT_NOFILE, &old);
    SHOW(setrlimit(RLIMIT_NOFILE, &limit));
    SHOW(limited(RLIMIT_NOFILE, 12, open_many));
    SHOW(limited(RLIMIT_FSIZE, 100, write_large));
    SHOW(limited(RLIMIT_FSIZE, 100, write_large_signal));
    SHOW(limited(RLIMIT_AS, 64 << 20, map_much));
    SHOW(limited(RLIMIT_DATA, 16 << 20, break_far));
    SHOW(limited(RLIMIT_NPROC, 0, fork_once));
    SHOW(limited(RLIMIT_MEMLOCK, 65536, lock_much));
    SHOW(limited(RLIMIT_SIGPENDING, 5, queue_signals));
    SHOW(limited(RLIMIT_CPU, 1, use_cpu));
    SHOW(limited(RLIMIT_STACK, 128 << 10, recurse));
    SHOW(limited(RLIMIT_STACK, 8 << 20, recurse));
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "-wait"))
        for (;;) pause();
    setvbuf(stdout, NULL, _IOLBF, 0);
    // Numbers of descriptors are shown.
    for (int fd = 3; fd < 64; fd++) close(fd);
    cloning();
    waiting();
    pidfds();
    groups();
    limits();
    return 0;
}
