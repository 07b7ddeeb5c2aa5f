// From file to file without the program between, room, advice, write-back and whole-file locks.
#include "check.h"
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

static int file(const char *text) {
    int fd = memfd_create("transfer", 0);
    if (text && write(fd, text, strlen(text)) < 0) perror("write");
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static void print(int fd) {
    char buf[200] = {0};
    long n = pread(fd, buf, sizeof buf - 1, 0);
    printf("%ld bytes: %s, offset %ld\n", n, buf, (long)lseek(fd, 0, SEEK_CUR));
}

static void with_sendfile(void) {
    int in = file("hello, world"), out = file(NULL), pipes[2];
    off_t at = 7;
    SHOW(sendfile(out, in, NULL, 5));
    print(in);
    print(out);
    SHOW(sendfile(out, in, &at, 100));
    SHOW(at);
    print(out);
    SHOW(sendfile(out, in, NULL, 100));
    SHOW(sendfile(out, in, NULL, 100));
    SHOW(sendfile(out, -1, NULL, 1));
    SHOW(sendfile(-1, in, NULL, 1));
    SHOW(sendfile(out, in, wild, 1));
    at = -1;
    SHOW(sendfile(out, in, &at, 1));
    if (pipe2(pipes, O_NONBLOCK)) return;
    SHOW(sendfile(out, pipes[1], NULL, 1));
    SHOW(sendfile(pipes[0], in, NULL, 1));
    at = 0;
    SHOW(sendfile(pipes[1], in, &at, 12));
    char buf[100] = {0};
    SHOW(read(pipes[0], buf, 100));
    printf("%s\n", buf);
    SHOW(fcntl(out, F_SETFL, O_APPEND));
    at = 0;
    SHOW(sendfile(out, in, &at, 1));
}

static void with_splice(void) {
    int in = file("splice me"), out = file(NULL), pipes[2], others[2];
    if (pipe2(pipes, O_NONBLOCK) || pipe2(others, O_NONBLOCK)) return;
    loff_t at = 0;
    SHOW(splice(in, NULL, out, NULL, 1, 0));
    SHOW(splice(in, NULL, pipes[1], NULL, 6, 0));
    SHOW(lseek(in, 0, SEEK_CUR));
    SHOW(splice(pipes[0], NULL, others[1], NULL, 100, 0));
    SHOW(splice(pipes[0], NULL, others[1], NULL, 100, 0));
    SHOW(splice(pipes[0], NULL, pipes[1], NULL, 1, 0));
    at = 3;
    SHOW(splice(others[0], NULL, out, &at, 100, 0));
    SHOW(at);
    SHOW(lseek(out, 0, SEEK_END));
    SHOW(splice(pipes[0], &at, out, NULL, 1, 0));
    SHOW(splice(pipes[1], NULL, out, NULL, 1, 0));
    SHOW(splice(pipes[0], NULL, out, NULL, 1, 0x100));
    SHOW(splice(pipes[0], NULL, out, NULL, 0, 0));
    struct iovec iov[2] = {{"ab", 2}, {"cde", 3}};
    SHOW(vmsplice(pipes[1], iov, 2, 0));
    SHOW(vmsplice(in, iov, 2, 0));
    char buf[20] = {0};
    SHOW(read(pipes[0], buf, 20));
    printf("%s\n", buf);
    close(pipes[1]);
    SHOW(splice(pipes[0], NULL, out, NULL, 1, 0));
}

static void with_copy_file_range(void) {
    int in = file("0123456789"), out = file("abcdefghij"), pipes[2];
    loff_t from = 2, to = 4;
    SHOW(copy_file_range(in, &from, out, &to, 3, 0));
    SHOW(from);
    SHOW(to);
    print(out);
    SHOW(copy_file_range(in, NULL, out, NULL, 100, 0));
    print(in);
    print(out);
    SHOW(copy_file_range(in, NULL, out, NULL, 100, 0));
    from = 0, to = 5;
    SHOW(copy_file_range(in, &from, in, &to, 5, 0));
    print(in);
    from = 0, to = 4;
    SHOW(copy_file_range(in, &from, in, &to, 5, 0));
    SHOW(copy_file_range(in, NULL, out, NULL, 1, 1));
    SHOW(copy_file_range(-1, NULL, out, NULL, 1, 0));
    if (pipe(pipes)) return;
    SHOW(copy_file_range(pipes[0], NULL, out, NULL, 1, 0));
    int dir = open("/", O_RDONLY);
    SHOW(copy_file_range(dir, NULL, out, NULL, 1, 0));
}

static void room(void) {
    int fd = file("xyz"), pipes[2];
    struct stat st;
    SHOW(fallocate(fd, 0, 0, 10000));
    fstat(fd, &st);
    SHOW(st.st_size);
    CHECK(st.st_blocks * 512 >= 10000);
    SHOW(fallocate(fd, 1, 0, 100000));
    fstat(fd, &st);
    SHOW(st.st_size);
    SHOW(fallocate(fd, 3, 0, 2));
    char buf[4] = {0};
    SHOW(pread(fd, buf, 3, 0));
    SHOW(buf[0] == 0 && buf[1] == 0 && buf[2] == 'z');
    SHOW(fallocate(fd, 2, 0, 2));
    SHOW(fallocate(fd, 0, 0, 0));
    SHOW(fallocate(fd, 0, -1, 1));
    SHOW(fallocate(fd, 0x4000, 0, 1));
    SHOW(fallocate(-1, 0, 0, 1));
    if (pipe(pipes)) return;
    SHOW(fallocate(pipes[1], 0, 0, 1));
    SHOW(fallocate(pipes[0], 0, 0, 1));
    SHOW(posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED));
    SHOW(posix_fadvise(fd, 0, 0, 99));
    SHOW(posix_fadvise(fd, 0, -1, POSIX_FADV_NORMAL));
    SHOW(posix_fadvise(pipes[0], 0, 0, POSIX_FADV_NORMAL));
    SHOW(readahead(fd, 0, 10));
    SHOW(readahead(pipes[0], 0, 10));
    SHOW(readahead(pipes[1], 0, 10));
    SHOW(fsync(fd));
    SHOW(fdatasync(fd));
    SHOW(fsync(pipes[0]));
    SHOW(fsync(-1));
    SHOW(syncfs(fd));
    SHOW(syncfs(-1));
    SHOW(sync_file_range(fd, 0, 0, 7));
    SHOW(sync_file_range(fd, 0, 0, 8));
    SHOW(sync_file_range(fd, -1, 0, 0));
    SHOW(sync_file_range(pipes[0], 0, 0, 0));
}

static void locks(void) {
    char name[64];
    int fd = file("lock");
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    int other = open(name, O_RDWR);
    SHOW(flock(fd, LOCK_EX));
    SHOW(flock(other, LOCK_EX | LOCK_NB));
    SHOW(flock(other, LOCK_SH | LOCK_NB));
    SHOW(flock(fd, LOCK_SH));
    SHOW(flock(other, LOCK_SH | LOCK_NB));
    SHOW(flock(fd, LOCK_EX | LOCK_NB));
    SHOW(flock(other, LOCK_UN));
    SHOW(flock(fd, LOCK_EX | LOCK_NB));
    SHOW(flock(fd, 64));
    SHOW(flock(-1, LOCK_SH));
    pid_t child = fork();
    if (!child) {
        // Waits until the parent lets go.
        _exit(flock(other, LOCK_EX) ? 1 : 7);
    }
    sleep_ms(50);
    SHOW(flock(fd, LOCK_UN));
    int status;
    waitpid(child, &status, 0);
    show_status("the waiting child", status);
}

int main(void) {
    with_sendfile();
    with_splice();
    with_copy_file_range();
    room();
    locks();
    return 0;
}
