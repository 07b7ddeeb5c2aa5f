// Pipes and FIFOs: order, atomicity, end of file, EPIPE, non-blocking, sizes, poll.
#include "check.h"
#include <poll.h>
#include <sys/ioctl.h>

static short ready(int fd) {
    struct pollfd p = {fd, POLLIN | POLLOUT, 0};
    poll(&p, 1, 0);
    return p.revents;
}

static void basic(void) {
    int fds[2];
    char buf[100];
    SHOW(pipe2(fds, 0x1));
    SHOW(pipe(wild));
    SHOW(pipe2(fds, O_NONBLOCK));
    SHOW(read(fds[0], buf, 1));
    SHOW(ready(fds[0]));
    SHOW(ready(fds[1]));
    SHOW(write(fds[1], "abc", 3));
    SHOW(ready(fds[0]));
    int n = 0;
    SHOW(ioctl(fds[0], FIONREAD, &n));
    SHOW(n);
    SHOW(read(fds[0], buf, 2));
    SHOW(read(fds[0], buf, 2));
    SHOW(read(fds[1], buf, 1));
    SHOW(write(fds[0], "x", 1));
    SHOW(lseek(fds[0], 0, SEEK_SET));
    SHOW(pread(fds[0], buf, 1, 0));
    SHOW(fcntl(fds[0], F_GETPIPE_SZ));
    SHOW(fcntl(fds[0], F_SETPIPE_SZ, 5000));
    SHOW(fcntl(fds[0], F_GETPIPE_SZ));
    char *big = calloc(1, 70000);
    SHOW(write(fds[1], big, 70000));
    SHOW(write(fds[1], big, 1));
    SHOW(ready(fds[1]));
    SHOW(read(fds[0], big, 100));
    SHOW(write(fds[1], big, 200));
    SHOW(fcntl(fds[0], F_SETPIPE_SZ, 4096));
    SHOW(read(fds[0], big, 70000));
    SHOW(write(fds[1], wild, 10));
    SHOW(write(fds[1], "end", 3));
    SHOW(read(fds[0], wild, 10));
    SHOW(read(fds[0], buf, 10));
    close(fds[1]);
    SHOW(ready(fds[0]));
    SHOW(read(fds[0], buf, 10));
    close(fds[0]);
    SHOW(pipe(fds));
    close(fds[0]);
    signal(SIGPIPE, SIG_IGN);
    SHOW(write(fds[1], "x", 1));
    SHOW(ready(fds[1]));
    signal(SIGPIPE, SIG_DFL);
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        if (write(fds[1], "x", 1)) _exit(1);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    show_status("writer without a reader", status);
    close(fds[1]);
}

static void blocking(void) {
    int fds[2];
    pipe(fds);
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        close(fds[0]);
        for (int i = 0; i < 1000; i++) {
            char line[300];
            memset(line, 'a' + i % 26, sizeof line);
            if (write(fds[1], line, sizeof line) != sizeof line) _exit(1);
        }
        _exit(0);
    }
    close(fds[1]);
    long total = 0, sum = 0;
    char buf[777];
    for (ssize_t n; (n = read(fds[0], buf, sizeof buf)) > 0; total += n)
        for (int i = 0; i < n; i++) sum = (sum * 31 + buf[i]) % 1000003;
    printf("total %ld sum %ld\n", total, sum);
    int status;
    waitpid(child, &status, 0);
    show_status("writer", status);
    close(fds[0]);
}

static void atomic_writes(void) {
    int fds[2];
    pipe(fds);
    fflush(stdout);
    for (int w = 0; w < 4; w++)
        if (!fork()) {
            char block[512];
            memset(block, 'A' + w, sizeof block);
            for (int i = 0; i < 50; i++)
                if (write(fds[1], block, sizeof block) != sizeof block) _exit(1);
            _exit(0);
        }
    close(fds[1]);
    int whole = 1, blocks = 0;
    char block[512];
    for (;;) {
        size_t have = 0;
        ssize_t n = 0;
        while (have < sizeof block && (n = read(fds[0], block + have, sizeof block - have)) > 0) have += n;
        if (!have) break;
        for (size_t i = 1; i < sizeof block; i++) whole &= block[i] == block[0];
        blocks++;
    }
    CHECK(whole);
    SHOW(blocks);
    while (wait(NULL) > 0) {}
    close(fds[0]);
}

static void fifos(void) {
    SHOW(mkfifo("fifo", 0600));
    SHOW(open("fifo", O_WRONLY | O_NONBLOCK));
    int r = SHOW(open("fifo", O_RDONLY | O_NONBLOCK));
    char c;
    SHOW(read(r, &c, 1));
    int w = SHOW(open("fifo", O_WRONLY | O_NONBLOCK));
    SHOW(read(r, &c, 1));
    SHOW(write(w, "z", 1));
    SHOW(read(r, &c, 1));
    close(w);
    SHOW(read(r, &c, 1));
    close(r);
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        int fd = open("fifo", O_WRONLY);
        write(fd, "from child", 10);
        _exit(0);
    }
    char buf[20] = {0};
    int fd = open("fifo", O_RDONLY);
    SHOW(read(fd, buf, sizeof buf));
    puts(buf);
    SHOW(read(fd, buf, sizeof buf));
    waitpid(child, NULL, 0);
    close(fd);
    int both = SHOW(open("fifo", O_RDWR));
    SHOW(write(both, "b", 1));
    SHOW(read(both, &c, 1));
    close(both);
}

static void moving(void) {
    int a[2], b[2];
    pipe(a);
    pipe(b);
    SHOW(write(a[1], "splice and tee", 14));
    SHOW(tee(a[0], b[1], 6, 0));
    SHOW(splice(a[0], NULL, b[1], NULL, 8, 0));
    char buf[64] = {0};
    SHOW(read(b[0], buf, sizeof buf));
    puts(buf);
    int fd = open("spliced", O_RDWR | O_CREAT | O_TRUNC, 0600);
    SHOW(splice(a[0], NULL, fd, NULL, 100, 0));
    loff_t off = 1;
    SHOW(splice(fd, &off, b[1], NULL, 3, 0));
    SHOW(off);
    SHOW(splice(fd, NULL, fd, NULL, 3, 0));
    SHOW(splice(a[0], &off, b[1], NULL, 3, 0));
    close(fd);
}

int main(void) {
    basic();
    blocking();
    atomic_writes();
    fifos();
    moving();
    return 0;
}
