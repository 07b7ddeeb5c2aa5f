// User and group numbers, capabilities, prctl, no_new_privs, set-user-ID programs, file permissions.
#include "check.h"
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

static const char *self;

static void show_ids(const char *what) {
    uid_t r, e, s;
    gid_t gr, ge, gs;
    getresuid(&r, &e, &s);
    getresgid(&gr, &ge, &gs);
    printf("%s: uid %d %d %d fs %d gid %d %d %d fs %d\n", what, r, e, s, setfsuid(-1), gr, ge, gs, setfsgid(-1));
    fflush(stdout);
}

static void show_caps(const char *what) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data)) printf("%s: errno %d\n", what, errno);
    // Above the last one Linux knows there is nothing to compare; a container may lack this one.
    unsigned mask = (1u << 9) - 1, most = ~(1u << CAP_SYS_RESOURCE);
    printf("%s: effective %x:%x permitted %x:%x inheritable %x:%x\n", what, data[1].effective & mask,
           data[0].effective & most, data[1].permitted & mask, data[0].permitted & most,
           data[1].inheritable & mask, data[0].inheritable & most);
    fflush(stdout);
}

static int set_caps(unsigned effective, unsigned permitted, unsigned inheritable) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{effective, permitted, inheritable}, {0, 0, 0}};
    return syscall(SYS_capset, &header, data);
}

static void in_child(void (*what)(void)) {
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        what();
        exit(0);
    }
    waitpid(child, &status, 0);
    show_status("child", status);
}

static void user_ids(void) {
    SHOW(setresuid(-1, 1000, -1));
    show_ids("effective only");
    show_caps("effective only");
    SHOW(setresuid(-1, 0, -1));
    show_caps("effective back");
    SHOW(setreuid(1000, -1));
    show_ids("setreuid(1000, -1)");
    SHOW(setreuid(-1, 1000));
    show_ids("setreuid(-1, 1000)");
    show_caps("no longer root");
    SHOW(setreuid(0, -1));
    SHOW(setuid(0));
    SHOW(setresuid(-1, 0, -1));
    show_ids("at last");
}

static void unprivileged(void) {
    SHOW(setresgid(1, 2, 3));
    SHOW(setresuid(1001, 1002, 1003));
    show_ids("three");
    show_caps("three");
    SHOW(setuid(1002));
    SHOW(setuid(1003));
    show_ids("setuid(1003)");
    SHOW(setuid(1004));
    SHOW(setreuid(1001, 1003));
    SHOW(setreuid(1003, 1001));
    show_ids("setreuid(1003, 1001)");
    SHOW(setresuid(1001, 1003, 1001));
    SHOW(setresuid(-1, -1, -1));
    SHOW(setresuid(5, -1, -1));
    SHOW(setgid(2));
    SHOW(setgid(3));
    show_ids("setgid(3)");
    SHOW(setgid(9));
    SHOW(setregid(1, 3));
    SHOW(setregid(9, -1));
    SHOW(setresgid(3, 1, 3));
    SHOW(setresgid(-1, 9, -1));
    show_ids("groups");
    gid_t groups[2] = {5, 6};
    SHOW(setgroups(2, groups));
    SHOW(setfsuid(1001));
    SHOW(setfsuid(0));
    SHOW(setfsuid(-1));
    SHOW(setfsgid(1));
    SHOW(setfsgid(77));
    SHOW(setfsgid(-1));
    SHOW(syscall(SYS_getresuid, wild, wild, wild));
}

static void setuid_root(void) {
    SHOW(setuid(1005));
    show_ids("setuid as root");
    SHOW(setuid(0));
    SHOW(setuid(-1));
}

static void groups(void) {
    gid_t list[4] = {30, 10, 20, 10}, got[8];
    SHOW(setgroups(4, list));
    int n = SHOW(getgroups(0, NULL));
    SHOW(getgroups(2, got));
    SHOW(getgroups(8, got));
    for (int i = 0; i < n; i++) printf("%d ", got[i]);
    printf("\n");
    SHOW(getgroups(-1, got));
    SHOW(syscall(SYS_getgroups, 8, wild));
    SHOW(syscall(SYS_setgroups, 70000, list));
    SHOW(syscall(SYS_setgroups, 2, wild));
    SHOW(setgroups(0, NULL));
    SHOW(getgroups(8, got));
    // Permission by owner, group, supplementary group, other.
    mkdir("g", 0777);
    chmod("g", 0777);
    int fd = open("g/file", O_CREAT | O_RDWR, 0600);
    write(fd, "x", 1);
    fchown(fd, 2000, 20);
    fchmod(fd, 0640);
    setgroups(1, list + 2);
    SHOW(setgid(100));
    SHOW(setuid(1000));
    SHOW(open("g/file", O_RDONLY) >= 0);
    SHOW(open("g/file", O_WRONLY));
    SHOW(access("g/file", R_OK));
    SHOW(access("g/file", W_OK));
    SHOW(access("g/file", X_OK));
    SHOW(access("g/file", F_OK));
    SHOW(access("g/file", 8));
    SHOW(chmod("g/file", 0666));
    SHOW(chown("g/file", 1000, -1));
    SHOW(unlink("g/file"));
    int mine = open("g/mine", O_CREAT | O_RDWR, 0604);
    SHOW(fchown(mine, -1, 20));
    SHOW(fchown(mine, -1, 30));
    SHOW(fchown(mine, 1001, -1));
    SHOW(fchmod(mine, 02755));
    struct stat st;
    fstat(mine, &st);
    printf("mode %o gid %d\n", st.st_mode, st.st_gid);
    SHOW(fchmod(mine, 0077));
    SHOW(open("g/mine", O_RDONLY));
    // A write by who may not keep it takes the set-ID bits.
    SHOW(fchmod(mine, 06777));
    write(mine, "x", 1);
    fstat(mine, &st);
    printf("mode %o\n", st.st_mode);
    SHOW(chmod("g/mine", 06777));
    SHOW(chown("g/mine", -1, 20));
    stat("g/mine", &st);
    printf("mode %o\n", st.st_mode);
    SHOW(mknod("g/null", S_IFCHR | 0600, 259));
    SHOW(mkfifo("g/fifo", 0600));
    SHOW(chroot("g"));
    SHOW(sethostname("x", 1));
    SHOW(kill(1, 0));
    SHOW(setpriority(0, 0, -5));
}

static void sticky(void) {
    mkdir("t", 0777);
    chmod("t", 01777);
    close(open("t/root", O_CREAT | O_RDWR, 0666));
    setuid(1000);
    close(open("t/mine", O_CREAT | O_RDWR, 0666));
    SHOW(unlink("t/root"));
    SHOW(rename("t/root", "t/other"));
    SHOW(rename("t/mine", "t/root"));
    SHOW(rename("t/mine", "t/still"));
    SHOW(unlink("t/still"));
}

static void capabilities(void) {
    struct __user_cap_header_struct header = {0x1234, 0};
    struct __user_cap_data_struct data[2];
    SHOW(syscall(SYS_capget, &header, data));
    printf("version %x\n", header.version);
    SHOW(syscall(SYS_capget, &header, NULL));
    header.version = _LINUX_CAPABILITY_VERSION_3;
    header.pid = 99999;
    SHOW(syscall(SYS_capget, &header, data));
    header.pid = -1;
    SHOW(syscall(SYS_capget, &header, data));
    SHOW(syscall(SYS_capget, wild, data));
    header.pid = 1;
    SHOW(syscall(SYS_capset, &header, data));
    header.pid = 0;
    SHOW(syscall(SYS_capget, &header, wild));
    show_caps("all");
    SHOW(prctl(PR_CAPBSET_READ, CAP_CHOWN));
    SHOW(prctl(PR_CAPBSET_READ, 99));
    SHOW(prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT));
    SHOW(prctl(PR_CAPBSET_READ, CAP_SYS_BOOT));
    SHOW(prctl(PR_CAPBSET_DROP, 99));
    // Down to a few, and not up again.
    unsigned few = 1 << CAP_CHOWN | 1 << CAP_SETPCAP | 1 << CAP_SETUID;
    SHOW(set_caps(few, few, few));
    show_caps("few");
    SHOW(set_caps(few | 1 << CAP_FOWNER, few | 1 << CAP_FOWNER, 0));
    SHOW(set_caps(few | 1 << CAP_FOWNER, few, 0));
    SHOW(set_caps(0, few, few));
    show_caps("none effective");
    SHOW(setuid(1000));
    SHOW(set_caps(1 << CAP_CHOWN, few, few));
    close(open("c", O_CREAT | O_RDWR, 0600));
    SHOW(chown("c", 5, 6));
    SHOW(chmod("c", 0644));
    SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
    SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0));
    SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
    SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, CAP_CHOWN, 0, 0));
    SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0));
    SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 99, 0, 0));
    SHOW(prctl(PR_CAP_AMBIENT, 77, CAP_CHOWN, 0, 0));
    SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
    SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 1, 0, 0));
}

static void keep_caps(void) {
    SHOW(prctl(PR_GET_KEEPCAPS));
    SHOW(prctl(PR_SET_KEEPCAPS, 2));
    SHOW(prctl(PR_SET_KEEPCAPS, 1));
    SHOW(setuid(1000));
    show_caps("kept");
    SHOW(set_caps(1 << CAP_SETUID, 1 << CAP_SETUID, 1 << CAP_SETUID));
    SHOW(setuid(0));
    show_caps("root again");
    SHOW(prctl(PR_GET_KEEPCAPS));
}

static void secure_bits(void) {
    SHOW(prctl(PR_GET_SECUREBITS));
    SHOW(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP));
    SHOW(prctl(PR_GET_SECUREBITS));
    SHOW(setuid(1000));
    show_caps("no fixup");
    SHOW(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_NOROOT | SECBIT_NOROOT_LOCKED));
    SHOW(prctl(PR_SET_SECUREBITS, 0));
    SHOW(prctl(PR_SET_SECUREBITS, 1 << 20));
    set_caps(0, 0, 0);
    SHOW(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_NOROOT | SECBIT_NOROOT_LOCKED));
}

static void run(const char *program) {
    fflush(stdout);
    pid_t child = fork();
    int status;
    if (!child) {
        execl(program, "ids", "-ids", (char *)NULL);
        printf("exec: errno %d\n", errno);
        exit(1);
    }
    waitpid(child, &status, 0);
    show_status(program, status);
}

static void programs(void) {
    char buf[65536];
    int in = open(self, O_RDONLY), out = open("prog", O_CREAT | O_WRONLY, 0755);
    for (ssize_t n; (n = read(in, buf, sizeof buf)) > 0;) write(out, buf, n);
    close(in);
    close(out);
    // The directory of the test is not for everybody.
    chmod(".", 0755);
    run("./prog");
    chown("prog", 2000, 3000);
    chmod("prog", 06755);
    run("./prog");
    chmod("prog", 02745);
    run("./prog");
    chmod("prog", 04755);
    setgid(500);
    setuid(1000);
    run("./prog");
    // Not executable by this user.
    SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    run("./prog");
    SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    SHOW(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0));
    SHOW(prctl(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static void set_root_program(void) {
    chmod("prog", 0);
    chown("prog", 0, 0);
    chmod("prog", 04711);
    setgid(500);
    setuid(1000);
    run("./prog");
    SHOW(open("prog", O_RDONLY));
}

static void bits(void) {
    int signal = 7;
    char name[17];
    SHOW(prctl(PR_SET_PDEATHSIG, 99));
    SHOW(prctl(PR_SET_PDEATHSIG, SIGUSR1));
    SHOW(prctl(PR_GET_PDEATHSIG, &signal));
    SHOW(signal);
    SHOW(prctl(PR_GET_PDEATHSIG, wild));
    SHOW(prctl(PR_SET_PDEATHSIG, 0));
    SHOW(prctl(PR_SET_NAME, "a name that is too long"));
    SHOW(prctl(PR_GET_NAME, name));
    printf("<%s>\n", name);
    SHOW(prctl(PR_SET_NAME, wild));
    SHOW(prctl(PR_GET_NAME, wild));
    SHOW(prctl(PR_GET_DUMPABLE));
    SHOW(prctl(PR_SET_DUMPABLE, 2));
    SHOW(prctl(PR_SET_DUMPABLE, 0));
    SHOW(prctl(PR_GET_DUMPABLE));
    SHOW(prctl(PR_SET_DUMPABLE, 1));
    SHOW(prctl(PR_GET_TIMING));
    SHOW(prctl(PR_SET_TIMING, 1));
    SHOW(prctl(PR_SET_TIMERSLACK, 12345));
    SHOW(prctl(PR_GET_TIMERSLACK));
    SHOW(prctl(PR_SET_TIMERSLACK, 0));
    SHOW(prctl(PR_GET_TIMERSLACK));
    SHOW(prctl(PR_SET_CHILD_SUBREAPER, 1));
    SHOW(prctl(PR_GET_CHILD_SUBREAPER, &signal));
    SHOW(signal);
    SHOW(prctl(PR_SET_CHILD_SUBREAPER, 0));
    SHOW(prctl(PR_GET_TID_ADDRESS, wild) == -1);
    SHOW(prctl(PR_GET_TSC, &signal));
    SHOW(signal);
    SHOW(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
    SHOW(prctl(PR_GET_THP_DISABLE, 1, 0, 0, 0));
    SHOW(prctl(PR_GET_SECCOMP));
    SHOW(prctl(9999, 0, 0, 0, 0));
    SHOW(prctl(-1, 0, 0, 0, 0));
    // Changing who one is ends being open to others.
    SHOW(setresuid(-1, 1000, -1));
    SHOW(prctl(PR_GET_DUMPABLE));
}

static void death_signal(void) {
    // The child of a child that ends gets the signal it asked for.
    int fds[2];
    char c;
    pipe(fds);
    if (!fork()) {
        int ready[2];
        pipe(ready);
        if (!fork()) {
            sigset_t set;
            int got;
            sigemptyset(&set);
            sigaddset(&set, SIGUSR1);
            sigprocmask(SIG_BLOCK, &set, NULL);
            prctl(PR_SET_PDEATHSIG, SIGUSR1);
            write(ready[1], "r", 1);
            sigwait(&set, &got);
            c = got;
            write(fds[1], &c, 1);
            _exit(0);
        }
        read(ready[0], &c, 1);
        _exit(0);
    }
    read(fds[0], &c, 1);
    SHOW(c);
    while (wait(NULL) > 0) {}
}

int main(int argc, char **argv) {
    self = argv[0];
    if (argc > 1 && !strcmp(argv[1], "-ids")) {
        show_ids("program");
        show_caps("program");
        SHOW(prctl(PR_GET_DUMPABLE));
        SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
        return 0;
    }
    umask(0);
    setgroups(0, NULL);
    show_ids("start");
    in_child(user_ids);
    in_child(unprivileged);
    in_child(setuid_root);
    in_child(groups);
    in_child(sticky);
    in_child(capabilities);
    in_child(keep_caps);
    in_child(secure_bits);
    in_child(programs);
    in_child(set_root_program);
    in_child(bits);
    in_child(death_signal);
    return 0;
}
