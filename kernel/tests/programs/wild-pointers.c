// Every call of the table that takes pointers, with each of them wild in turn: not mapped, of the
// kernel, at the end of what is mapped, not writable. A call must refuse it as Linux does.
#include "check.h"
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

// What an argument is:
//   p  a pointer to what the call reads        x  one to what it writes
//   o  like p, but null is allowed: not tried; O  and a null would wait
//    y  like x, but null is allowed
//   n  a path, of a file that is there         N  a path where nothing is
//   r  a file, w  the same                     d  a directory, D  AT_FDCWD
//   a, b  the ends of a pipe with some bytes in it
//   e  an epoll instance  t  a timerfd  q  an inotify instance  v  a pidfd of this process
//   0 to 9  that number   h  4096  m  -1  s  8 (sizeof sigset_t)  c  its own number
struct call {
    int number;
    const char *name, *arguments;
};

#define CALL(name, arguments) {SYS_##name, #name, arguments}

static const struct call calls[] = {
    CALL(read, "rx9"), CALL(write, "wp9"), CALL(open, "n00"), CALL(stat, "nx"), CALL(fstat, "rx"),
    CALL(lstat, "nx"), CALL(poll, "p10"), CALL(rt_sigaction, "4oys"), CALL(rt_sigprocmask, "0oys"),
    CALL(pread64, "rx90"), CALL(pwrite64, "wp90"), CALL(readv, "rp1"), CALL(writev, "wp1"),
    CALL(access, "n0"), CALL(pipe, "x"), CALL(select, "8ooo0"), CALL(nanosleep, "p0"),
    CALL(getitimer, "0x"), CALL(setitimer, "0oy"), CALL(sendfile, "wry0"), CALL(wait4, "my0y"),
    CALL(uname, "x"), CALL(truncate, "n0"), CALL(getdents, "dxh"), CALL(getcwd, "xh"),
    CALL(chdir, "n"), CALL(rename, "nN"), CALL(mkdir, "n0"), CALL(rmdir, "n"), CALL(creat, "n0"),
    CALL(link, "nN"), CALL(unlink, "n"), CALL(symlink, "nN"), CALL(readlink, "nxh"),
    CALL(chmod, "n0"), CALL(chown, "nmm"), CALL(lchown, "nmm"), CALL(gettimeofday, "yy"),
    CALL(getrlimit, "7x"), CALL(getrusage, "0x"), CALL(sysinfo, "x"), CALL(times, "y"),
    CALL(getgroups, "9x"), CALL(setgroups, "2p"), CALL(getresuid, "xxx"), CALL(getresgid, "xxx"),
    CALL(capget, "py"), CALL(capset, "pp"), CALL(rt_sigpending, "xs"), CALL(rt_sigtimedwait, "pyOs"),
    CALL(rt_sigqueueinfo, "c0p"), CALL(rt_sigsuspend, "ps"), CALL(sigaltstack, "oy"), CALL(utime, "no"),
    CALL(mknod, "n00"), CALL(statfs, "nx"), CALL(fstatfs, "rx"), CALL(sched_setparam, "0p"),
    CALL(sched_getparam, "0x"), CALL(sched_setscheduler, "00p"), CALL(sched_rr_get_interval, "0x"),
    CALL(setrlimit, "7p"), CALL(chroot, "n"), CALL(settimeofday, "oo"), CALL(umount2, "n0"),
    CALL(sethostname, "p5"), CALL(setdomainname, "p5"), CALL(removexattr, "nN"),
    CALL(lremovexattr, "nN"), CALL(fremovexattr, "rN"), CALL(time, "y"), CALL(futex, "p11000"),
    CALL(sched_setaffinity, "0sp"), CALL(sched_getaffinity, "0hx"), CALL(getdents64, "dxh"),
    CALL(timer_create, "1ox"), CALL(clock_settime, "0p"), CALL(clock_gettime, "1x"),
    CALL(clock_getres, "1y"), CALL(clock_nanosleep, "10p0"), CALL(epoll_wait, "ex10"),
    CALL(epoll_ctl, "e1ap"), CALL(utimes, "no"), CALL(waitid, "0my4y"), CALL(inotify_add_watch, "qn2"),
    CALL(openat, "Dn00"), CALL(mkdirat, "Dn0"), CALL(mknodat, "Dn00"), CALL(fchownat, "Dnmm0"),
    CALL(futimesat, "Dno"), CALL(newfstatat, "Dnx0"), CALL(unlinkat, "Dn0"), CALL(renameat, "DnDN"),
    CALL(linkat, "DnDN0"), CALL(symlinkat, "nDN"), CALL(readlinkat, "Dnxh"), CALL(fchmodat, "Dn0"),
    CALL(faccessat, "Dn0"), CALL(pselect6, "8ooo00"), CALL(ppoll, "p1oos"), CALL(get_robust_list, "0xx"),
    CALL(splice, "ayw090"), CALL(vmsplice, "bp10"), CALL(utimensat, "Dno0"), CALL(epoll_pwait, "ex10os"),
    CALL(signalfd, "mps"), CALL(timerfd_settime, "t0py"), CALL(timerfd_gettime, "tx"),
    CALL(signalfd4, "mps0"), CALL(pipe2, "x0"), CALL(preadv, "rp10"), CALL(pwritev, "wp10"),
    CALL(rt_tgsigqueueinfo, "cc0p"), CALL(prlimit64, "07oy"), CALL(getcpu, "yy"),
    CALL(sched_setattr, "0p0"), CALL(sched_getattr, "0xh0"), CALL(renameat2, "DnDN0"),
    CALL(getrandom, "x90"), CALL(memfd_create, "p0"), CALL(execve, "n00"), CALL(execveat, "Dn000"),
    CALL(copy_file_range, "rywy90"), CALL(preadv2, "rp1000"), CALL(pwritev2, "wp1000"),
    CALL(statx, "Dn00x"), CALL(pidfd_send_signal, "v0o0"), CALL(clone3, "ph"), CALL(faccessat2, "Dn00"),
    CALL(epoll_pwait2, "ex1oos"), CALL(set_robust_list, "p0"),
};

static char *good, *unmapped, *read_only, *edge;
static int file, directory, pipes[2], epoll, timer, notify, pidfd;

static long argument(char kind) {
    switch (kind) {
    case '0' ... '9': return kind - '0';
    case 'h': return 4096;
    case 'm': return -1;
    case 's': return 8;
    case 'c': return getpid();
    case 'r':
    case 'w': return file;
    case 'd': return directory;
    case 'D': return AT_FDCWD;
    case 'a': return pipes[0];
    case 'b': return pipes[1];
    case 'e': return epoll;
    case 't': return timer;
    case 'q': return notify;
    case 'v': return pidfd;
    case 'n': return (long)"file";
    case 'N': return (long)"user.none";
    case 'o':
    case 'y': return 0;
    default: return (long)good;
    }
}

// Ready again for each attempt: a pipe with some bytes, an event, the file's offset at its start.
static void prepare(void) {
    struct epoll_event event = {.events = EPOLLIN};
    memset(good, 0, 4096);
    pipe(pipes);
    write(pipes[1], "bytes", 5);
    epoll = epoll_create1(0);
    int ready = eventfd(1, 0);
    epoll_ctl(epoll, EPOLL_CTL_ADD, ready, &event);
    timer = timerfd_create(CLOCK_MONOTONIC, 0);
    notify = inotify_init();
    pidfd = syscall(SYS_pidfd_open, getpid(), 0);
    lseek(file, 0, SEEK_SET);
    lseek(directory, 0, SEEK_SET);
}

static long attempt(const struct call *call, int wild_index, void *pointer) {
    long a[6] = {0};
    for (int i = 0; call->arguments[i]; i++) a[i] = argument(call->arguments[i]);
    a[wild_index] = (long)pointer;
    errno = 0;
    long result = syscall(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
    return result < 0 ? -errno : 0;
}

static void try(const struct call *call) {
    int saved = 3;
    printf("%s:", call->name);
    for (int i = 0; call->arguments[i]; i++) {
        char kind = call->arguments[i];
        if (!strchr("pxoOynN", kind)) continue;
        void *wilds[] = {NULL, (void *)8, unmapped, (void *)0x7ffffffff000, (void *)0xffff800000000000,
                         (void *)-4096L, edge, read_only};
        printf(" [");
        for (int w = 0; w < 8; w++) {
            if (w == 0 && strchr("oOy", kind)) continue;
            // What is read may be on a page that cannot be written, and the end of a page may do.
            if (w == 7 && kind != 'x' && kind != 'y') continue;
            if (w == 6 && (kind == 'n' || kind == 'N')) *edge = 'x';
            else *edge = 0;
            prepare();
            saved = pidfd;
            printf("%s%ld", w ? " " : "", -attempt(call, i, wilds[w]));
            for (int fd = directory + 1; fd <= saved + 4; fd++) close(fd);
        }
        printf("]");
    }
    printf("\n");
    fflush(stdout);
}

// Vectors, and structures that point on.
static void nested(void) {
    struct { void *base; size_t length; } vector[2] = {{good, 4}, {(void *)8, 4}};
    SHOW(syscall(SYS_readv, file, vector, 2));
    SHOW(syscall(SYS_preadv, file, vector, 2, 0L, 0L));
    lseek(file, 0, SEEK_SET);
    SHOW(syscall(SYS_writev, file, vector, 2));
    vector[0].base = (void *)0xffff800000000000;
    SHOW(syscall(SYS_readv, file, vector, 2));
    SHOW(syscall(SYS_writev, file, vector, 2));
    vector[0].length = -1;
    SHOW(syscall(SYS_readv, file, vector, 1));
    char *argv[2] = {(char *)8, NULL};
    SHOW(syscall(SYS_execve, "/proc/self/exe", argv, NULL));
    SHOW(syscall(SYS_execve, "/proc/self/exe", 8, NULL));
    SHOW(syscall(SYS_execve, "/proc/self/exe", NULL, 8));
    argv[0] = (char *)-4096L;
    SHOW(syscall(SYS_execve, "/proc/self/exe", NULL, argv));
    // Lengths that leave user memory.
    SHOW(syscall(SYS_read, file, good, -1L));
    SHOW(syscall(SYS_read, file, (void *)8, -1L));
    SHOW(syscall(SYS_getrandom, (void *)8, 1L << 50, 0));
    SHOW(syscall(SYS_getcwd, good, -1L) > 0);
    SHOW(syscall(SYS_mincore, (void *)0x7ffffffff000, 4096, good));
    SHOW(syscall(SYS_munmap, (void *)0xffff800000000000, 4096));
    SHOW(syscall(SYS_munmap, (void *)4096, -4096L));
    SHOW(syscall(SYS_mprotect, (void *)0xffff800000000000, 4096, 0));
    SHOW(syscall(SYS_mprotect, unmapped, 4096, 0));
    SHOW(syscall(SYS_madvise, unmapped, 4096, 4));
    SHOW(syscall(SYS_msync, unmapped, 4096, 4));
    SHOW(syscall(SYS_mlock, unmapped, 4096));
    SHOW(syscall(SYS_mremap, unmapped, 4096, 8192, 1, 0));
    SHOW(syscall(SYS_arch_prctl, 0x1002, 0xffff800000000000));
    SHOW(syscall(SYS_arch_prctl, 0x1003, 8));
    SHOW(ioctl(file, FIONREAD, 8));
    SHOW(ioctl(pipes[0], FIONREAD, 8));
    SHOW(fcntl(file, F_GETLK, 8));
    SHOW(fcntl(file, F_SETLK, 8));
    SHOW(fcntl(file, F_GETOWN_EX, 8));
    SHOW(fcntl(file, F_SETOWN_EX, 8));
}

int main(void) {
    sigset_t all;
    sigfillset(&all);
    file = open("file", O_RDWR | O_CREAT | O_EXCL, 0644);
    write(file, "some bytes in it", 16);
    directory = open(".", O_RDONLY);
    char *pages = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    good = pages;
    unmapped = pages + 2 * 4096;
    read_only = pages + 3 * 4096;
    // One byte before a page that is not there.
    edge = unmapped - 1;
    munmap(unmapped, 4096);
    mprotect(read_only, 4096, PROT_READ);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) try(&calls[i]);
    prepare();
    nested();
    return 0;
}
