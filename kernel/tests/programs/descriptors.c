// open, close, dup, fcntl, read, write, lseek, vectors, positions, truncation, ranges.
#include "check.h"
#include <sys/uio.h>
#include <sys/sendfile.h>

static void table(void) {
    int fd = SHOW(open("file", O_RDWR | O_CREAT | O_EXCL, 0644));
    SHOW(open("file", O_RDWR | O_CREAT | O_EXCL, 0644));
    SHOW(open("missing", O_RDONLY));
    SHOW(open("file/below", O_RDONLY));
    SHOW(open("", O_RDONLY));
    SHOW(open(wild, O_RDONLY));
    SHOW(open(".", O_WRONLY));
    SHOW(open("file", O_RDONLY | O_DIRECTORY));
    SHOW(dup(fd));
    SHOW(dup2(fd, 10));
    SHOW(dup2(fd, fd));
    SHOW(dup2(99, 11));
    SHOW(dup2(fd, -1));
    SHOW(dup3(fd, fd, 0));
    SHOW(dup3(fd, 12, O_CLOEXEC));
    SHOW(fcntl(12, F_GETFD));
    SHOW(fcntl(10, F_GETFD));
    SHOW(fcntl(fd, F_DUPFD, 10));
    SHOW(fcntl(fd, F_DUPFD_CLOEXEC, 20));
    SHOW(fcntl(fd, F_DUPFD, -1));
    SHOW(fcntl(fd, F_DUPFD, 1 << 30));
    SHOW(fcntl(20, F_GETFD));
    SHOW(fcntl(20, F_SETFD, 0));
    SHOW(fcntl(20, F_GETFD));
    SHOW(fcntl(fd, F_GETFL) & ~0100000);
    SHOW(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK));
    SHOW(fcntl(fd, F_GETFL) & ~0100000);
    SHOW(fcntl(fd, F_SETFL, 0));
    SHOW(fcntl(fd, 9999, 0));
    SHOW(fcntl(99, F_GETFD));
    SHOW(close(99));
    SHOW(close(-1));
    SHOW(syscall(SYS_close_range, 10, 20, 0));
    SHOW(fcntl(12, F_GETFD));
    SHOW(syscall(SYS_close_range, 20, 10, 0));
    SHOW(dup(fd));
    SHOW(close(fd));
    SHOW(close(fd));
}

static void bytes(void) {
    char buf[64];
    int fd = open("file", O_RDWR | O_TRUNC);
    SHOW(write(fd, "hello world", 11));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(lseek(fd, -5, SEEK_END));
    memset(buf, 0, sizeof buf);
    SHOW(read(fd, buf, sizeof buf));
    puts(buf);
    SHOW(read(fd, buf, 1));
    SHOW(lseek(fd, -1, SEEK_SET));
    SHOW(lseek(fd, 0, 99));
    SHOW(lseek(fd, 100, SEEK_SET));
    SHOW(read(fd, buf, 1));
    SHOW(write(fd, "!", 1));
    SHOW(lseek(fd, 0, SEEK_END));
    SHOW(pread(fd, buf, 3, 10));
    CHECK(buf[0] == 'd' && buf[1] == 0 && buf[2] == 0);
    SHOW(pread(fd, buf, 3, -1));
    SHOW(pwrite(fd, "J", 1, 0));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(pread(fd, buf, 5, 0));
    buf[5] = 0;
    puts(buf);
    SHOW(ftruncate(fd, 5));
    SHOW(lseek(fd, 0, SEEK_END));
    SHOW(ftruncate(fd, -1));
    SHOW(ftruncate(fd, 8192));
    SHOW(pread(fd, buf, 1, 8191));
    CHECK(buf[0] == 0);
    SHOW(read(fd, wild, 10));
    SHOW(write(fd, wild, 10));
    SHOW(write(fd, NULL, 0));
    SHOW(pread(fd, wild, 10, 0));
    SHOW(close(fd));
    fd = open("file", O_RDONLY);
    SHOW(write(fd, "x", 1));
    SHOW(ftruncate(fd, 0));
    SHOW(close(fd));
    fd = open("file", O_WRONLY | O_APPEND | O_TRUNC);
    SHOW(read(fd, buf, 1));
    SHOW(write(fd, "ab", 2));
    SHOW(lseek(fd, 0, SEEK_SET));
    SHOW(write(fd, "cd", 2));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(close(fd));
}

static void vectors(void) {
    char a[4] = {0}, b[4] = {0};
    int fd = open("vector", O_RDWR | O_CREAT | O_TRUNC, 0600);
    struct iovec out[3] = {{"abc", 3}, {NULL, 0}, {"defg", 4}};
    SHOW(writev(fd, out, 3));
    SHOW(lseek(fd, 0, SEEK_SET));
    struct iovec in[2] = {{a, 3}, {b, 3}};
    SHOW(readv(fd, in, 2));
    printf("%s %s\n", a, b);
    SHOW(readv(fd, in, -1));
    SHOW(readv(fd, in, 1025));
    SHOW(readv(fd, wild, 1));
    struct iovec bad[2] = {{a, 3}, {wild, 3}};
    SHOW(preadv(fd, bad, 2, 0));
    SHOW(pwritev(fd, out, 3, 2));
    SHOW(lseek(fd, 0, SEEK_END));
    struct iovec huge[1] = {{a, (size_t)-1}};
    SHOW(readv(fd, huge, 1));
    SHOW(syscall(SYS_preadv2, fd, in, 2L, -1L, -1L, 0));
    SHOW(syscall(SYS_preadv2, fd, in, 2L, 0L, 0L, 0x10000));
    int out_fd = open("copy", O_RDWR | O_CREAT | O_TRUNC, 0600);
    off_t at = 1;
    SHOW(sendfile(out_fd, fd, &at, 4));
    SHOW(at);
    SHOW(lseek(out_fd, 0, SEEK_END));
    SHOW(sendfile(out_fd, fd, NULL, 100));
    loff_t from = 0, to = 0;
    SHOW(copy_file_range(fd, &from, out_fd, &to, 3, 0));
    SHOW(from + to);
    SHOW(copy_file_range(fd, NULL, out_fd, NULL, 3, 1));
    close(fd);
    close(out_fd);
}

static void stats(void) {
    struct stat st;
    int fd = open("stat", O_RDWR | O_CREAT | O_TRUNC, 0751);
    SHOW(write(fd, "0123456789", 10));
    SHOW(fstat(fd, &st));
    printf("mode %o links %d size %ld\n", st.st_mode, (int)st.st_nlink, (long)st.st_size);
    SHOW(fchmod(fd, 04711));
    SHOW(fstat(fd, &st));
    printf("mode %o\n", st.st_mode);
    SHOW(fchown(fd, 12, 34));
    SHOW(fstat(fd, &st));
    printf("mode %o uid %d gid %d\n", st.st_mode, st.st_uid, st.st_gid);
    struct timespec times[2] = {{1000, 5}, {2000, 7}};
    SHOW(futimens(fd, times));
    SHOW(fstat(fd, &st));
    printf("atime %ld.%ld mtime %ld.%ld\n", (long)st.st_atim.tv_sec, st.st_atim.tv_nsec,
           (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_nsec = 1000000000;
    SHOW(futimens(fd, times));
    SHOW(fstat(99, &st));
    SHOW(syscall(SYS_fstat, fd, wild));
    SHOW(fstat(0 * fd + fd, &st));
    SHOW(fallocate(fd, 0, 0, 20000));
    SHOW(lseek(fd, 0, SEEK_END));
    SHOW(fallocate(fd, 0, 0, 0));
    SHOW(fallocate(fd, 0, -1, 5));
    SHOW(fsync(fd));
    SHOW(fdatasync(fd));
    SHOW(fsync(99));
    SHOW(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
    SHOW(posix_fadvise(fd, 0, 0, 77));
    close(fd);
}

static void locks(void) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10};
    int fd = open("locked", O_RDWR | O_CREAT | O_TRUNC, 0600);
    SHOW(fcntl(fd, F_SETLK, &lock));
    pid_t child = fork();
    if (!child) {
        struct flock mine = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = 1};
        SHOW(fcntl(fd, F_SETLK, &mine));
        SHOW(fcntl(fd, F_GETLK, &mine));
        CHECK(mine.l_pid == getppid());
        printf("type %d start %ld len %ld\n", mine.l_type, (long)mine.l_start, (long)mine.l_len);
        mine.l_start = 10;
        mine.l_type = F_RDLCK;
        mine.l_len = 1;
        SHOW(fcntl(fd, F_SETLK, &mine));
        exit(0);
    }
    waitpid(child, NULL, 0);
    // Locks end with their process, closed or not.
    lock.l_type = F_WRLCK;
    lock.l_start = 100;
    child = fork();
    if (!child) _exit(fcntl(fd, F_SETLK, &lock) ? 1 : 0);
    int status;
    waitpid(child, &status, 0);
    show_status("locker", status);
    SHOW(fcntl(fd, F_SETLK, &lock));
    lock.l_type = 77;
    SHOW(fcntl(fd, F_SETLK, &lock));
    int other = open("locked", O_RDWR);
    SHOW(syscall(SYS_flock, fd, 2 | 4));
    SHOW(syscall(SYS_flock, other, 2 | 4));
    SHOW(syscall(SYS_flock, other, 1 | 4));
    SHOW(syscall(SYS_flock, fd, 8));
    SHOW(syscall(SYS_flock, other, 1 | 4));
    SHOW(syscall(SYS_flock, other, 99));
    close(fd);
    close(other);
}

int main(void) {
    umask(022);
    table();
    bytes();
    vectors();
    stats();
    locks();
    return 0;
}
