// Files in memory and their seals; descriptor flags; who is told about a file; random bytes; what
// the machine says of itself.
#include "check.h"
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 16u
#endif

static void seals(void) {
    char name[260], link[64], path[64];
    struct stat st;
    memset(name, 'n', sizeof name);
    name[250] = 0;
    SHOW(memfd_create(name, 0));
    name[249] = 0;
    SHOW(memfd_create(name, 0) >= 0);
    SHOW(memfd_create("x", 0x100));
    SHOW(memfd_create("x", MFD_EXEC | MFD_NOEXEC_SEAL));
    int fd = memfd_create("plain", MFD_CLOEXEC);
    SHOW(fcntl(fd, F_GETFD));
    SHOW(fcntl(fd, F_GETFL));
    SHOW(fcntl(fd, F_GET_SEALS));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(path, link, sizeof link - 1);
    link[n > 0 ? n : 0] = 0;
    printf("link %s\n", link);
    fstat(fd, &st);
    printf("mode %o links %d size %ld\n", st.st_mode, (int)st.st_nlink, (long)st.st_size);
    close(fd);
    fd = memfd_create("no exec", MFD_NOEXEC_SEAL);
    fstat(fd, &st);
    printf("mode %o\n", st.st_mode);
    SHOW(fcntl(fd, F_GET_SEALS));
    SHOW(fchmod(fd, 0777));
    SHOW(fchmod(fd, 0600));
    close(fd);
    fd = memfd_create("sealed", MFD_ALLOW_SEALING);
    SHOW(fcntl(fd, F_GET_SEALS));
    SHOW(write(fd, "0123456789", 10));
    SHOW(fcntl(fd, F_ADD_SEALS, 0x1000));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
    SHOW(ftruncate(fd, 5));
    SHOW(ftruncate(fd, 20));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    SHOW(ftruncate(fd, 30));
    SHOW(pwrite(fd, "abc", 3, 18));
    SHOW(pwrite(fd, "abc", 3, 20));
    SHOW(pwrite(fd, "abc", 3, 0));
    SHOW(fallocate(fd, 0, 0, 100));
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    munmap(map, 4096);
    map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
    SHOW(write(fd, "x", 1));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    SHOW(pwrite(fd, "x", 1, 0));
    SHOW(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
    SHOW(errno);
    char *shared = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    SHOW(shared == MAP_FAILED);
    SHOW(mprotect(shared, 4096, PROT_READ | PROT_WRITE));
    SHOW(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) == MAP_FAILED);
    SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 5));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
    SHOW(fcntl(fd, F_GET_SEALS));
    int reading = open("/proc/self/fd/3", O_RDONLY);
    (void)reading;
    int file = open("file", O_RDWR | O_CREAT, 0600);
    SHOW(fcntl(file, F_GET_SEALS) == -1 || 1);
    int pipes[2];
    pipe(pipes);
    SHOW(fcntl(pipes[0], F_GET_SEALS));
    SHOW(fcntl(pipes[0], F_ADD_SEALS, 0));
    // A program in memory.
    int out = memfd_create("program", MFD_CLOEXEC), in = open("/proc/self/exe", O_RDONLY);
    char buf[65536];
    while ((n = read(in, buf, sizeof buf)) > 0) write(out, buf, n);
    // It runs once nobody can write it.
    snprintf(path, sizeof path, "/proc/self/fd/%d", out);
    in = open(path, O_RDONLY);
    close(out);
    out = in;
    fflush(stdout);
    if (!fork()) {
        char *argv[] = {"program", "-hello", NULL}, *envp[] = {NULL};
        syscall(SYS_execveat, out, "", argv, envp, AT_EMPTY_PATH);
        printf("errno %d\n", errno);
        exit(1);
    }
    int status;
    wait(&status);
    show_status("a program in memory", status);
    for (int i = 3; i < 20; i++) close(i);
}

static volatile int seen, code, seen_fd;
static volatile long band;

static void on_io(int signal, siginfo_t *info, void *context) {
    (void)context;
    seen = signal;
    code = info->si_code;
    band = info->si_band;
    seen_fd = info->si_fd;
}

static void wait_io(const char *what) {
    for (int i = 0; i < 100 && !seen; i++) sleep_ms(1);
    printf("%s: signal %d code %d band %lx fd %d\n", what, seen, seen ? code : 0, seen && seen != SIGIO ? band : 0,
           seen && seen != SIGIO ? seen_fd : 0);
    seen = 0;
    fflush(stdout);
}

static void owners(void) {
    int pipes[2];
    char c;
    pipe(pipes);
    struct sigaction action = {.sa_sigaction = on_io, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGIO, &action, NULL);
    sigaction(SIGRTMIN + 1, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    struct f_owner_ex owner = {7, 7};
    SHOW(fcntl(pipes[0], F_GETOWN));
    SHOW(fcntl(pipes[0], F_GETOWN_EX, &owner));
    printf("type %d pid %d\n", owner.type, owner.pid);
    SHOW(fcntl(pipes[0], F_SETOWN, getpid()));
    CHECK(fcntl(pipes[0], F_GETOWN) == getpid());
    SHOW(fcntl(pipes[0], F_SETOWN, 99999));
    SHOW(fcntl(pipes[0], F_GETOWN) == getpid());
    SHOW(fcntl(pipes[0], F_SETOWN, INT32_MIN));
    SHOW(fcntl(pipes[0], F_SETOWN, -getpgrp()));
    SHOW(fcntl(pipes[0], F_GETOWN_EX, &owner));
    CHECK(owner.type == F_OWNER_PGRP && owner.pid == getpgrp());
    owner.type = 9;
    SHOW(fcntl(pipes[0], F_SETOWN_EX, &owner));
    owner.type = F_OWNER_TID;
    owner.pid = getpid();
    SHOW(fcntl(pipes[0], F_SETOWN_EX, &owner));
    CHECK(fcntl(pipes[0], F_GETOWN) == getpid());
    SHOW(fcntl(pipes[0], F_GETSIG));
    SHOW(fcntl(pipes[0], F_SETSIG, 65));
    SHOW(fcntl(pipes[0], F_SETSIG, -1));
    SHOW(fcntl(pipes[0], F_SETSIG, SIGRTMIN + 1));
    CHECK(fcntl(pipes[0], F_GETSIG) == SIGRTMIN + 1);
    // Signals when there is something to read, once it is asked for.
    write(pipes[1], "x", 1);
    wait_io("not asked for");
    read(pipes[0], &c, 1);
    SHOW(fcntl(pipes[0], F_SETFL, O_ASYNC));
    SHOW(fcntl(pipes[0], F_GETFL));
    write(pipes[1], "x", 1);
    wait_io("asked for");
    SHOW(fcntl(pipes[0], F_SETSIG, 0));
    read(pipes[0], &c, 1);
    write(pipes[1], "x", 1);
    wait_io("SIGIO");
    int off = 0, on = 1;
    SHOW(ioctl(pipes[0], FIOASYNC, &off));
    write(pipes[1], "x", 1);
    wait_io("no longer");
    SHOW(ioctl(pipes[0], FIOASYNC, &on));
    close(pipes[1]);
    wait_io("hung up");
    close(pipes[0]);
    SHOW(fcntl(1, F_NOTIFY, 1) == -1);
    int file = open("leased", O_RDWR | O_CREAT, 0600);
    SHOW(fcntl(file, F_GETLEASE));
    close(file);
}

static void flags(void) {
    int fd = open("flags", O_RDWR | O_CREAT | O_APPEND, 0600);
    SHOW(fcntl(fd, F_GETFL));
    SHOW(fcntl(fd, F_SETFL, O_NONBLOCK | O_WRONLY | O_CREAT | O_TRUNC));
    SHOW(fcntl(fd, F_GETFL));
    SHOW(fcntl(fd, F_SETFL, O_NOATIME));
    SHOW(fcntl(fd, F_GETFL));
    SHOW(fcntl(fd, F_SETFL, 0));
    int on = 1;
    SHOW(ioctl(fd, FIONBIO, &on));
    SHOW(fcntl(fd, F_GETFL));
    SHOW(ioctl(fd, FIOCLEX, 0));
    SHOW(fcntl(fd, F_GETFD));
    SHOW(ioctl(fd, FIONCLEX, 0));
    SHOW(fcntl(fd, F_GETFD));
    SHOW(ioctl(fd, FIONBIO, wild));
    int path = open("flags", O_PATH);
    SHOW(fcntl(path, F_GETFL));
    SHOW(fcntl(path, F_SETFL, 0));
    SHOW(ioctl(path, FIONBIO, &on));
    char c;
    SHOW(read(path, &c, 1));
    SHOW(write(path, &c, 1));
    SHOW(lseek(path, 0, SEEK_SET));
    SHOW(ftruncate(path, 0));
    SHOW(fchmod(path, 0600));
    SHOW(fchown(path, 0, 0));
    SHOW(fsync(path));
    SHOW(syscall(SYS_getdents64, path, &c, 1));
    struct stat st;
    SHOW(fstat(path, &st));
    SHOW(dup(path) >= 0);
    SHOW(fcntl(path, F_SETFD, FD_CLOEXEC));
    SHOW(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, path, 0) == MAP_FAILED);
    SHOW(errno);
    SHOW(fcntl(fd, F_SETPIPE_SZ, 4096));
    int dir = open(".", O_PATH | O_DIRECTORY);
    SHOW(openat(dir, "flags", O_RDONLY) >= 0);
    SHOW(fchdir(dir));
    SHOW(open("flags", O_PATH | O_CREAT | O_TRUNC, 0600) >= 0);
    SHOW(open(".", O_TMPFILE | O_RDONLY, 0600));
    SHOW(open("flags", O_RDONLY | O_DIRECT | O_CREAT | O_DIRECTORY, 0600));
    for (int i = 3; i < 40; i++) close(i);
}

static void random_bytes(void) {
    unsigned char a[64] = {0}, b[64] = {0};
    SHOW(getrandom(a, 64, 0));
    SHOW(getrandom(b, 64, GRND_NONBLOCK));
    CHECK(memcmp(a, b, 64));
    SHOW(getrandom(a, 64, GRND_RANDOM));
    SHOW(getrandom(a, 0, 0));
    SHOW(getrandom(a, 64, 8));
    SHOW(getrandom(a, 64, GRND_RANDOM | 4));
    SHOW(syscall(SYS_getrandom, wild, 64, 0));
    char *big = malloc(1 << 20);
    SHOW(getrandom(big, 1 << 20, 0));
    free(big);
}

static void machine(void) {
    struct utsname uts;
    struct sysinfo info;
    SHOW(uname(&uts));
    printf("%s %s\n", uts.sysname, uts.machine);
    CHECK(strlen(uts.release) > 3 && strlen(uts.nodename) > 0);
    SHOW(sysinfo(&info));
    CHECK(info.uptime > 0 && info.totalram * info.mem_unit > (64 << 20) && info.freeram <= info.totalram);
    CHECK(info.procs > 1 && info.mem_unit > 0);
    SHOW(sethostname("x", 65));
    SHOW(sethostname("x", -1));
    SHOW(setdomainname("x", 65));
    fflush(stdout);
    if (!fork()) {
        setuid(1000);
        SHOW(sethostname("x", 1));
        SHOW(setdomainname("x", 1));
        exit(0);
    }
    wait(NULL);
    SHOW(syscall(SYS_personality, 0xffffffff));
    SHOW(syscall(SYS_personality, 0x0040000));
    SHOW(syscall(SYS_personality, 0));
    SHOW(syscall(SYS_membarrier, 1 << 20, 0, 0));
    SHOW(syscall(SYS_membarrier, 0, 1 << 10, 0));
    SHOW(syscall(SYS_syslog, 99, NULL, 0));
    SHOW(syscall(SYS_sysfs, 3, 0, 0) == -1 || 1);
    SHOW(syscall(SYS_reboot, 1, 2, 3, NULL));
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "-hello")) {
        printf("hello from %s\n", argv[0]);
        return 5;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    // Numbers of descriptors are shown.
    for (int fd = 3; fd < 64; fd++) close(fd);
    seals();
    owners();
    flags();
    random_bytes();
    machine();
    return 0;
}
