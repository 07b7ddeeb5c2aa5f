// mount and umount2: tmpfs and its options, binds, read-only and other flags, moves, what is busy,
// what is over what, statfs, /proc/mounts.
#include "check.h"
#include <sched.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

static char here[4096];

// The lines of /proc/self/mounts about this directory, without where it is.
static void show_mounts(const char *what) {
    char line[8192];
    FILE *file = fopen("/proc/self/mounts", "r");
    printf("%s:\n", what);
    while (file && fgets(line, sizeof line, file)) {
        char *at = strstr(line, here);
        if (!at) continue;
        // Inode numbers are as wide as the machine's.
        char *inodes = strstr(line, ",inode64");
        if (inodes) memmove(inodes, inodes + 8, strlen(inodes + 8) + 1);
        *at = 0;
        printf("  %s.%s", line, at + strlen(here));
    }
    if (file) fclose(file);
    fflush(stdout);
}

static int exists(const char *path) {
    struct stat st;
    return !lstat(path, &st);
}

static void make(const char *path) {
    close(open(path, O_CREAT | O_RDWR, 0644));
}

static void errors(void) {
    mkdir("a", 0755);
    make("file");
    SHOW(mount("none", "a", "no-such-type", 0, NULL));
    SHOW(mount("none", "missing", "tmpfs", 0, NULL));
    SHOW(mount("none", "file", "tmpfs", 0, NULL));
    SHOW(mount("none", "a", NULL, 0, NULL));
    SHOW(mount("none", "a", "tmpfs", 0, "nonsense=1"));
    SHOW(mount("none", "a", "tmpfs", 0, "size=x"));
    SHOW(mount("none", "a", "tmpfs", 0, "mode=9"));
    SHOW(mount("missing", "a", NULL, MS_BIND, NULL));
    SHOW(mount("file", "a", NULL, MS_BIND, NULL));
    SHOW(mount("a", "file", NULL, MS_BIND, NULL));
    SHOW(mount("a", "a", NULL, MS_MOVE, NULL));
    SHOW(mount("none", "a", NULL, MS_REMOUNT, NULL));
    SHOW(umount2("a", 0));
    SHOW(umount2("missing", 0));
    SHOW(umount2("a", 0x100));
    SHOW(umount2("file", 0));
    SHOW(mount("none", wild, "tmpfs", 0, NULL));
}

static void tmpfs(void) {
    struct statfs fs;
    struct stat st;
    SHOW(mount("source", "a", "tmpfs", 0, "size=64k,nr_inodes=10,mode=1750,uid=12,gid=34"));
    show_mounts("tmpfs");
    stat("a", &st);
    printf("mode %o uid %d gid %d\n", st.st_mode, st.st_uid, st.st_gid);
    SHOW(statfs("a", &fs));
    printf("type %lx blocks %ld free %ld files %ld size %ld name %ld\n", (long)fs.f_type, (long)fs.f_blocks, (long)fs.f_bfree,
           (long)fs.f_files, (long)fs.f_bsize, (long)fs.f_namelen);
    int fd = open("a/file", O_CREAT | O_RDWR, 0600);
    char page[4096] = {1};
    int pages = 0;
    while (write(fd, page, sizeof page) == sizeof page) pages++;
    printf("%d pages, then errno %d\n", pages, errno);
    SHOW(statfs("a", &fs));
    printf("free %ld available %ld\n", (long)fs.f_bfree, (long)fs.f_bavail);
    SHOW(ftruncate(fd, 0));
    SHOW(statfs("a", &fs));
    printf("free %ld\n", (long)fs.f_bfree);
    char name[16];
    int made = 0;
    for (;; made++) {
        snprintf(name, sizeof name, "a/f%d", made);
        if (mkdir(name, 0700)) break;
    }
    printf("%d directories, then errno %d\n", made, errno);
    SHOW(umount2("a", 0));
    SHOW(umount2("a", MNT_FORCE | MNT_EXPIRE));
    close(fd);
    // Another size; not below what is in use.
    SHOW(mount("none", "a", NULL, MS_REMOUNT, "size=128k"));
    SHOW(statfs("a", &fs));
    printf("blocks %ld\n", (long)fs.f_blocks);
    SHOW(umount("a"));
    SHOW(exists("a/file"));
    show_mounts("unmounted");
}

static void flags(void) {
    SHOW(mount("none", "a", "tmpfs", MS_NOEXEC | MS_NOSUID | MS_NODEV | MS_NOATIME, NULL));
    show_mounts("flags");
    make("a/file");
    chmod("a/file", 0755);
    char *argv[] = {"x", NULL};
    SHOW(execve("a/file", argv, NULL));
    SHOW(access("a/file", X_OK));
    SHOW(mknod("a/null", S_IFCHR | 0666, 259));
    SHOW(open("a/null", O_RDWR));
    int fd = open("a/file", O_RDWR);
    SHOW(mount("none", "a", NULL, MS_REMOUNT | MS_RDONLY, NULL));
    close(fd);
    SHOW(mount("none", "a", NULL, MS_REMOUNT | MS_RDONLY, NULL));
    show_mounts("read-only");
    SHOW(open("a/file", O_RDWR));
    SHOW(open("a/new", O_CREAT | O_RDWR, 0600));
    SHOW(mkdir("a/dir", 0700));
    SHOW(unlink("a/file"));
    SHOW(chmod("a/file", 0600));
    SHOW(rename("a/file", "a/other"));
    SHOW(access("a/file", W_OK));
    SHOW(utimensat(AT_FDCWD, "a/file", NULL, 0));
    SHOW(truncate("a/file", 0));
    SHOW(setxattr("a/file", "user.x", "y", 1, 0));
    SHOW(link("a/file", "a/link"));
    SHOW(mount("none", "a", NULL, MS_REMOUNT, NULL));
    SHOW(mkdir("a/dir", 0700));
    SHOW(umount("a"));
}

static void binds(void) {
    mkdir("b", 0755);
    mkdir("a/sub", 0755);
    make("a/sub/file");
    SHOW(mount("a", "b", NULL, MS_BIND, NULL));
    SHOW(exists("b/sub/file"));
    make("b/both");
    SHOW(exists("a/both"));
    // Read-only for this mount alone.
    SHOW(mount("none", "b", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
    SHOW(open("b/both", O_RDWR));
    SHOW(open("a/both", O_RDWR) >= 0);
    SHOW(rename("a/both", "b/other"));
    SHOW(link("a/both", "b/link"));
    SHOW(rmdir("b"));
    SHOW(rename("b", "c"));
    SHOW(unlink("b"));
    SHOW(umount("b"));
    // A bind takes what is mounted below only with MS_REC.
    SHOW(mount("inner", "a/sub", "tmpfs", 0, NULL));
    make("a/sub/inner");
    SHOW(mount("a", "b", NULL, MS_BIND, NULL));
    SHOW(exists("b/sub/inner"));
    SHOW(exists("b/sub/file"));
    SHOW(umount("b"));
    SHOW(mount("a", "b", NULL, MS_BIND | MS_REC, NULL));
    SHOW(exists("b/sub/inner"));
    SHOW(umount("b"));
    SHOW(umount2("b", MNT_DETACH));
    SHOW(exists("b/sub"));
    // A file on a file.
    make("target");
    SHOW(mount("a/sub/inner", "target", NULL, MS_BIND, NULL));
    SHOW(unlink("target"));
    SHOW(umount("target"));
    SHOW(unlink("target"));
    // Moves.
    SHOW(mount("a/sub", "b", NULL, MS_MOVE, NULL));
    SHOW(exists("b/inner"));
    SHOW(exists("a/sub/file"));
    SHOW(mount("a", "b", NULL, MS_MOVE, NULL));
    SHOW(mkdir("b/deep", 0755));
    SHOW(mount("b", "b/deep", NULL, MS_MOVE, NULL));
    SHOW(umount("b"));
}

static void stacks(void) {
    SHOW(mount("one", "a", "tmpfs", 0, NULL));
    make("a/one");
    SHOW(mount("two", "a", "tmpfs", 0, NULL));
    make("a/two");
    SHOW(exists("a/one"));
    show_mounts("two");
    SHOW(umount("a"));
    SHOW(exists("a/one"));
    // Busy: a file that is open, a working directory, a mount below.
    int fd = open("a/one", O_RDONLY);
    SHOW(umount("a"));
    close(fd);
    fd = open("a", O_PATH);
    SHOW(umount("a"));
    close(fd);
    mkdir("a/below", 0755);
    SHOW(mount("three", "a/below", "tmpfs", 0, NULL));
    SHOW(umount("a"));
    SHOW(umount("a/below"));
    chdir("a");
    SHOW(umount("../a"));
    SHOW(umount2(".", MNT_DETACH));
    SHOW(exists("one"));
    SHOW(open("three", O_CREAT | O_RDWR, 0600) >= 0);
    chdir(here);
    SHOW(exists("a/one"));
    // By a link, and by a link that is not to be followed.
    SHOW(mount("four", "a", "tmpfs", 0, NULL));
    symlink("a", "link");
    SHOW(umount2("link", UMOUNT_NOFOLLOW));
    SHOW(umount2("link", 0));
    // Dot-dot leaves a mount, and a rename between mounts is refused.
    SHOW(mount("six", "a", "tmpfs", 0, NULL));
    SHOW(exists("a/../file"));
    make("a/x");
    SHOW(rename("a/x", "x"));
    SHOW(link("a/x", "x"));
    SHOW(umount("a"));
}

static void unprivileged(void) {
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        setgid(1000);
        setuid(1000);
        SHOW(mount("none", "a", "tmpfs", 0, NULL));
        SHOW(mount("a", "b", NULL, MS_BIND, NULL));
        SHOW(umount("a"));
        SHOW(mount("none", "missing", "tmpfs", 0, NULL));
        exit(0);
    }
    waitpid(child, NULL, 0);
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    // Where there are namespaces, nobody else sees this.
    if (!unshare(CLONE_NEWNS)) mount("none", "/", NULL, MS_PRIVATE | MS_REC, NULL);
    umask(022);
    // A file system of its own, the same everywhere.
    mkdir("top", 0755);
    SHOW(mount("top", "top", "tmpfs", 0, "size=1m"));
    chdir("top");
    getcwd(here, sizeof here);
    errors();
    tmpfs();
    flags();
    binds();
    stacks();
    unprivileged();
    chdir("..");
    for (int fd = 3; fd < 40; fd++) close(fd);
    SHOW(umount("top"));
    SHOW(rmdir("top"));
    return 0;
}
