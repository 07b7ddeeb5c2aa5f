// Names: mkdir, link, symlink, rename, unlink, readlink, getdents, chdir, access, statx, permissions.
#include "check.h"
#include <dirent.h>
#include <sys/statfs.h>

static void make(void) {
    SHOW(mkdir("d", 0755));
    SHOW(mkdir("d", 0755));
    SHOW(mkdir("no/such", 0755));
    SHOW(mkdir("d/e/", 0700));
    SHOW(mkdir("", 0700));
    SHOW(mkdir(".", 0700));
    SHOW(mknod("fifo", S_IFIFO | 0600, 0));
    SHOW(mknod("reg", S_IFREG | 0600, 0));
    SHOW(mknod("bad", 0170000, 0));
    SHOW(close(open("d/f", O_CREAT | O_WRONLY, 0644)));
    SHOW(link("d/f", "d/g"));
    SHOW(link("d/f", "d/g"));
    SHOW(link("d", "dd"));
    SHOW(link("d/none", "x"));
    SHOW(symlink("d/f", "s"));
    SHOW(symlink("d/f", "s"));
    SHOW(symlink("", "t"));
    SHOW(symlink("loop2", "loop1"));
    SHOW(symlink("loop1", "loop2"));
    SHOW(open("loop1", O_RDONLY));
    SHOW(open("s", O_RDONLY | O_NOFOLLOW));
    SHOW(open("s/", O_RDONLY));
    SHOW(open("d/f/", O_RDONLY));
    SHOW(open("newfile/", O_RDWR | O_CREAT, 0600));
    SHOW(symlink("target-to-be", "dangling"));
    SHOW(close(open("dangling", O_CREAT | O_WRONLY, 0600)));
    SHOW(access("target-to-be", F_OK));
    SHOW(open("dangling", O_CREAT | O_EXCL | O_WRONLY, 0600));
    char buf[32] = {0};
    SHOW(readlink("s", buf, sizeof buf));
    puts(buf);
    SHOW(readlink("s", buf, 2));
    SHOW(readlink("d", buf, sizeof buf));
    SHOW(readlink("s", buf, 0));
    char longname[300];
    memset(longname, 'n', sizeof longname);
    longname[256] = 0;
    SHOW(mkdir(longname, 0700));
    longname[255] = 0;
    SHOW(mkdir(longname, 0700));
    SHOW(rmdir(longname));
    char *path = malloc(5000);
    memset(path, '/', 5000);
    path[4999] = 0;
    SHOW(access(path, F_OK));
    path[4095] = 0;
    SHOW(access(path, F_OK));
}

static void stat_all(const char *name) {
    struct stat st;
    if (lstat(name, &st))
        printf("%s: errno %d\n", name, errno);
    else
        printf("%s: mode %o links %d\n", name, st.st_mode, (int)st.st_nlink);
}

static void change(void) {
    stat_all("d");
    stat_all("d/f");
    stat_all("s");
    SHOW(rename("d/g", "d/h"));
    SHOW(rename("d/f", "d/h"));
    stat_all("d/f");
    stat_all("d/h");
    SHOW(rename("none", "x"));
    SHOW(rename("d", "d/e/inside"));
    SHOW(rename("d/f", "d/e"));
    SHOW(rename("d/e", "d/f"));
    SHOW(mkdir("full", 0700));
    SHOW(mkdir("full/x", 0700));
    SHOW(rename("d/e", "full"));
    SHOW(rmdir("full/x"));
    SHOW(rename("d/e", "full"));
    stat_all("d");
    stat_all("full");
    SHOW(rename(".", "y"));
    SHOW(rename("d/..", "y"));
    SHOW(syscall(SYS_renameat2, AT_FDCWD, "d/f", AT_FDCWD, "d/h", 1));
    SHOW(syscall(SYS_renameat2, AT_FDCWD, "reg", AT_FDCWD, "full", 2));
    stat_all("reg");
    stat_all("full");
    SHOW(syscall(SYS_renameat2, AT_FDCWD, "reg", AT_FDCWD, "none", 2));
    SHOW(syscall(SYS_renameat2, AT_FDCWD, "reg", AT_FDCWD, "z", 3));
    SHOW(syscall(SYS_renameat2, AT_FDCWD, "reg", AT_FDCWD, "z", 99));
    SHOW(unlink("d"));
    SHOW(rmdir("full"));
    SHOW(unlink("full"));
    SHOW(rmdir("d"));
    SHOW(rmdir("d/."));
    SHOW(rmdir("d/.."));
    SHOW(rmdir("/"));
    SHOW(unlink("d/"));
    SHOW(unlink("none"));
    SHOW(unlink("s"));
    SHOW(unlinkat(AT_FDCWD, "reg", AT_REMOVEDIR));
    SHOW(unlinkat(AT_FDCWD, "d/f", 0x1234));
    int fd = open("d/f", O_RDWR);
    SHOW(unlink("d/f"));
    struct stat st;
    SHOW(fstat(fd, &st));
    printf("links %d\n", (int)st.st_nlink);
    close(fd);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char **)a, *(char **)b);
}

static void list(const char *dir) {
    DIR *d = opendir(dir);
    if (!d) {
        printf("opendir %s errno %d\n", dir, errno);
        return;
    }
    char *names[64];
    int n = 0;
    for (struct dirent *e; (e = readdir(d)) && n < 64;) {
        char line[300];
        snprintf(line, sizeof line, "%s type %d", e->d_name, e->d_type);
        names[n++] = strdup(line);
    }
    qsort(names, n, sizeof *names, by_name);
    printf("%s:", dir);
    for (int i = 0; i < n; i++) printf(" %s;", names[i]);
    puts("");
    rewinddir(d);
    int again = 0;
    while (readdir(d)) again++;
    CHECK(again == n);
    closedir(d);
}

static void directories(void) {
    char buf[4096], small[16];
    list(".");
    list("d");
    list("none");
    SHOW(chdir("d"));
    SHOW(chdir("none"));
    SHOW(chdir("h"));
    CHECK(getcwd(buf, sizeof buf) && !strcmp(strrchr(buf, '/'), "/d"));
    SHOW(syscall(SYS_getcwd, small, 1));
    SHOW(chdir(".."));
    int fd = open("d", O_RDONLY | O_DIRECTORY);
    SHOW(syscall(SYS_getdents64, fd, buf, 10));
    SHOW(syscall(SYS_getdents64, 0 * fd + open("/dev/null", O_RDONLY), buf, sizeof buf));
    SHOW(read(fd, buf, 1));
    SHOW(fchdir(fd));
    SHOW(access("h", F_OK));
    SHOW(chdir(".."));
    SHOW(openat(fd, "none", O_RDONLY));
    SHOW(openat(99, "h", O_RDONLY));
    SHOW(mkdirat(fd, "sub", 0700));
    SHOW(faccessat(fd, "sub", X_OK, 0));
    SHOW(unlinkat(fd, "sub", AT_REMOVEDIR));
    SHOW(rmdir("d/h"));
    int gone = open("gone", O_CREAT | O_RDWR, 0600);
    (void)gone;
    SHOW(mkdir("gonedir", 0700));
    SHOW(chdir("gonedir"));
    SHOW(rmdir("../gonedir"));
    SHOW(syscall(SYS_getcwd, buf, sizeof buf));
    SHOW(open("x", O_CREAT | O_RDWR, 0600));
    SHOW(chdir(".."));
    struct {
        uint32_t mask, block_size;
        uint64_t attributes;
        uint32_t links, uid, gid;
        uint16_t mode;
        char rest[218];
    } sx;
    SHOW(syscall(SYS_statx, AT_FDCWD, "d", 0, 0x7ff, &sx));
    printf("statx mode %o nlink %u\n", sx.mode, sx.links);
    SHOW(syscall(SYS_statx, fd, "", 0x1000, 0x7ff, &sx));
    SHOW(syscall(SYS_statx, fd, "", 0, 0x7ff, &sx));
    struct statfs sf;
    SHOW(statfs(".", &sf));
    SHOW(statfs("none", &sf));
    SHOW(truncate("gone", 100));
    SHOW(truncate("d", 100));
    SHOW(truncate("none", 100));
    SHOW(umask(077));
    SHOW(umask(022));
    SHOW(chroot("none"));
}

static void permissions(void) {
    SHOW(chmod(".", 0777));
    SHOW(close(open("secret", O_CREAT | O_WRONLY, 0600)));
    SHOW(mkdir("sticky", 01777));
    SHOW(chmod("sticky", 01777));
    SHOW(close(open("sticky/root", O_CREAT | O_WRONLY, 0666)));
    SHOW(mkdir("closed", 0700));
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        SHOW(setgid(1000));
        SHOW(setuid(1000));
        SHOW(open("secret", O_RDONLY));
        SHOW(access("secret", R_OK));
        SHOW(access("secret", F_OK));
        SHOW(open("closed/x", O_RDONLY));
        SHOW(chdir("closed"));
        SHOW(unlink("sticky/root"));
        SHOW(close(open("sticky/mine", O_CREAT | O_WRONLY, 0666)));
        SHOW(unlink("sticky/mine"));
        SHOW(chmod("secret", 0777));
        SHOW(chown("secret", 1000, 1000));
        SHOW(mknod("node", S_IFCHR | 0600, 0x103));
        SHOW(chroot("."));
        SHOW(setuid(0));
        exit(0);
    }
    waitpid(child, NULL, 0);
}

int main(void) {
    umask(022);
    make();
    change();
    directories();
    permissions();
    return 0;
}
