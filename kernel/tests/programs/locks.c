// Locks of files: record locks of processes and of open files, flock; waiting, splitting, deadlock,
// what ends them; leases and notices that there are not.
#include "check.h"
#include <sys/file.h>

static int in_child(int (*what)(void)) {
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (!child) _exit(what());
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int fd, other;

static int lock(int f, int command, int type, long start, long len) {
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
    return fcntl(f, command, &l);
}

// Prints who is in the way of a lock of the whole file, as somebody else sees it.
static int held(void) {
    off_t at = 0;
    for (;;) {
        struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at};
        if (fcntl(fd, F_GETLK, &l) || l.l_type == F_UNLCK) break;
        printf(" %s %ld+%ld%s", l.l_type == F_WRLCK ? "write" : "read", (long)l.l_start, (long)l.l_len,
               l.l_pid == getppid() ? "" : l.l_pid == -1 ? " of a file" : " of another");
        if (l.l_len == 0) break;
        at = l.l_start + l.l_len;
    }
    printf("\n");
    fflush(stdout);
    return 0;
}

static void show(const char *what) {
    printf("%s:", what);
    in_child(held);
}

static void records(void) {
    SHOW(lock(fd, F_SETLK, F_RDLCK, 0, 100));
    show("read 0+100");
    SHOW(lock(fd, F_SETLK, F_WRLCK, 20, 10));
    show("write 20+10");
    SHOW(lock(fd, F_SETLK, F_WRLCK, 30, 10));
    show("write 30+10");
    SHOW(lock(fd, F_SETLK, F_UNLCK, 25, 10));
    show("unlock 25+10");
    SHOW(lock(fd, F_SETLK, F_RDLCK, 10, 30));
    show("read 10+30");
    SHOW(lock(fd, F_SETLK, F_WRLCK, 50, 0));
    show("write 50 to the end");
    SHOW(lock(fd, F_SETLK, F_UNLCK, 60, 10));
    show("unlock 60+10");
    SHOW(lock(fd, F_SETLK, F_UNLCK, 0, 0));
    show("unlock all");
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -5, .l_len = 3};
    SHOW(fcntl(fd, F_SETLK, &l));
    show("from the end");
    l = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 50, .l_len = -20};
    SHOW(fcntl(fd, F_SETLK, &l));
    show("negative length");
    lseek(fd, 7, SEEK_SET);
    l = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_CUR, .l_start = 1, .l_len = 1};
    SHOW(fcntl(fd, F_SETLK, &l));
    show("from the offset");
    // A second descriptor of the file being closed ends them all.
    close(open("file", O_RDONLY));
    show("another descriptor closed");
    l = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = -1, .l_len = 1};
    SHOW(fcntl(fd, F_SETLK, &l));
    l.l_start = 5;
    l.l_len = -6;
    SHOW(fcntl(fd, F_SETLK, &l));
    l.l_whence = 9;
    SHOW(fcntl(fd, F_SETLK, &l));
    l = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = INT64_MAX, .l_len = 2};
    SHOW(fcntl(fd, F_SETLK, &l));
    l = (struct flock){.l_type = F_UNLCK, .l_whence = SEEK_SET};
    SHOW(fcntl(fd, F_GETLK, &l));
    int reading = open("file", O_RDONLY), writing = open("file", O_WRONLY);
    SHOW(lock(reading, F_SETLK, F_WRLCK, 0, 1));
    SHOW(lock(writing, F_SETLK, F_RDLCK, 0, 1));
    SHOW(lock(writing, F_SETLK, F_WRLCK, 0, 1));
    close(reading);
    close(writing);
    SHOW(lock(99, F_SETLK, F_WRLCK, 0, 1));
    int path = open("file", O_PATH);
    SHOW(lock(path, F_SETLK, F_WRLCK, 0, 1));
    close(path);
}

static int conflicting(void) {
    int failures = 0;
    failures |= !(lock(fd, F_SETLK, F_RDLCK, 0, 1) == -1 && errno == EAGAIN) << 0;
    failures |= !(lock(fd, F_SETLK, F_WRLCK, 10, 1) == -1 && errno == EAGAIN) << 1;
    failures |= !(lock(fd, F_SETLK, F_RDLCK, 10, 1) == 0) << 2;
    failures |= !(lock(fd, F_SETLK, F_WRLCK, 20, 1) == 0) << 3;
    return failures;
}

static volatile int handled;

static void on_signal(int signal) {
    handled = signal;
}

static int waits_for_ten(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGALRM, &action, NULL);
    alarm(1);
    int result = lock(fd, F_SETLKW, F_WRLCK, 10, 1);
    return result ? errno : 100;
}

static void waiting(void) {
    lock(fd, F_SETLK, F_WRLCK, 0, 1);
    lock(fd, F_SETLK, F_RDLCK, 10, 1);
    SHOW(in_child(conflicting));
    fflush(stdout);
    // Waiting until it is let go.
    pid_t child = fork();
    if (!child) _exit(lock(fd, F_SETLKW, F_WRLCK, 0, 1) ? errno : 50);
    sleep_ms(40);
    lock(fd, F_SETLK, F_UNLCK, 0, 1);
    int status;
    waitpid(child, &status, 0);
    show_status("waited", status);
    SHOW(in_child(waits_for_ten));
    // Two that wait for each other: the second is refused.
    int ready[2];
    char c;
    pipe(ready);
    lock(fd, F_SETLK, F_WRLCK, 200, 1);
    child = fork();
    if (!child) {
        lock(fd, F_SETLK, F_WRLCK, 300, 1);
        write(ready[1], "r", 1);
        _exit(lock(fd, F_SETLKW, F_WRLCK, 200, 1) ? errno : 60);
    }
    read(ready[0], &c, 1);
    sleep_ms(60);
    SHOW(lock(fd, F_SETLKW, F_WRLCK, 300, 1));
    lock(fd, F_SETLK, F_UNLCK, 0, 0);
    waitpid(child, &status, 0);
    show_status("the other", status);
    close(ready[0]);
    close(ready[1]);
    // One that ends lets its locks go, waiters included.
    pipe(ready);
    child = fork();
    if (!child) {
        lock(fd, F_SETLK, F_WRLCK, 400, 1);
        write(ready[1], "r", 1);
        for (;;) pause();
    }
    read(ready[0], &c, 1);
    SHOW(lock(fd, F_SETLK, F_WRLCK, 400, 1));
    kill(child, SIGKILL);
    SHOW(lock(fd, F_SETLKW, F_WRLCK, 400, 1));
    waitpid(child, &status, 0);
    show_status("holder", status);
    lock(fd, F_SETLK, F_UNLCK, 0, 0);
    close(ready[0]);
    close(ready[1]);
}

static int of_open_file(void) {
    // A child shares the open file, and so its lock.
    return lock(fd, F_OFD_SETLK, F_WRLCK, 0, 10) ? errno : 0;
}

static void open_files(void) {
    other = open("file", O_RDWR);
    SHOW(lock(fd, F_OFD_SETLK, F_WRLCK, 0, 10));
    SHOW(lock(other, F_OFD_SETLK, F_WRLCK, 5, 10));
    SHOW(lock(other, F_SETLK, F_WRLCK, 5, 10));
    SHOW(lock(other, F_OFD_SETLK, F_WRLCK, 10, 10));
    SHOW(in_child(of_open_file));
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 5};
    SHOW(fcntl(other, F_OFD_GETLK, &l));
    printf("type %d start %ld len %ld pid %d\n", l.l_type, (long)l.l_start, (long)l.l_len, l.l_pid);
    SHOW(fcntl(fd, F_OFD_GETLK, &l));
    l.l_pid = 7;
    SHOW(fcntl(fd, F_OFD_SETLK, &l));
    SHOW(lock(fd, F_SETLK, F_WRLCK, 0, 1));
    show("of files");
    // Closing a copy does not end them, closing the last does.
    close(dup(fd));
    SHOW(lock(other, F_OFD_SETLK, F_WRLCK, 5, 1));
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        close(fd);
        _exit(lock(other, F_OFD_SETLKW, F_WRLCK, 5, 1) ? errno : 70);
    }
    sleep_ms(40);
    close(fd);
    int status;
    waitpid(child, &status, 0);
    show_status("waited for the last close", status);
    fd = open("file", O_RDWR);
    close(other);
}

static void whole_files(void) {
    other = open("file", O_RDWR);
    int reading = open("file", O_RDONLY);
    SHOW(flock(fd, LOCK_SH));
    SHOW(flock(other, LOCK_SH | LOCK_NB));
    SHOW(flock(other, LOCK_EX | LOCK_NB));
    SHOW(flock(fd, LOCK_UN));
    SHOW(flock(other, LOCK_EX | LOCK_NB));
    SHOW(flock(reading, LOCK_SH | LOCK_NB));
    SHOW(flock(other, LOCK_UN));
    SHOW(flock(reading, LOCK_EX | LOCK_NB));
    SHOW(flock(dup(reading), LOCK_UN));
    SHOW(flock(other, LOCK_EX | LOCK_NB));
    SHOW(flock(other, 0));
    SHOW(flock(other, 64));
    SHOW(flock(other, LOCK_SH | LOCK_EX));
    SHOW(flock(99, LOCK_SH));
    // Independent of record locks.
    SHOW(lock(fd, F_SETLK, F_WRLCK, 0, 0));
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        close(other);
        _exit(flock(fd, LOCK_EX) ? errno : 80);
    }
    sleep_ms(40);
    close(other);
    int status;
    waitpid(child, &status, 0);
    show_status("waited for flock", status);
    // A signal ends the wait.
    other = open("file", O_RDWR);
    SHOW(flock(other, LOCK_EX | LOCK_NB));
    SHOW(flock(fd, LOCK_UN));
    SHOW(flock(other, LOCK_EX | LOCK_NB));
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGALRM, &action, NULL);
    alarm(1);
    SHOW(flock(fd, LOCK_EX));
    SHOW(handled);
    int dir = open(".", O_RDONLY);
    SHOW(flock(dir, LOCK_EX));
    close(other);
}

int main(void) {
    char bytes[100] = {0};
    setvbuf(stdout, NULL, _IOLBF, 0);
    fd = open("file", O_RDWR | O_CREAT, 0600);
    write(fd, bytes, sizeof bytes);
    records();
    waiting();
    open_files();
    whole_files();
    return 0;
}
