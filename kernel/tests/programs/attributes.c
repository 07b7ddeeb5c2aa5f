// Extended attributes: setting, replacing, listing, removing; sizes, name spaces, links, rights.
// In /dev/shm, which is a tmpfs everywhere.
#include "check.h"
#include <sys/xattr.h>

static char here[64];

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list(const char *what, const char *path) {
    char names[4096], *sorted[64];
    ssize_t size = llistxattr(path, names, sizeof names);
    int count = 0;
    printf("%s: %zd", what, size < 0 ? -(ssize_t)errno : size);
    for (char *at = names; size > 0 && at < names + size; at += strlen(at) + 1) sorted[count++] = at;
    qsort(sorted, count, sizeof *sorted, by_name);
    for (int i = 0; i < count; i++) printf(" %s", sorted[i]);
    printf("\n");
    fflush(stdout);
}

static void values(void) {
    char buf[64] = {0}, name[300];
    int fd = open("file", O_CREAT | O_RDWR, 0644);
    list("none", "file");
    SHOW(setxattr("file", "user.a", "one", 3, 0));
    SHOW(getxattr("file", "user.a", buf, sizeof buf));
    puts(buf);
    SHOW(getxattr("file", "user.a", NULL, 0));
    SHOW(getxattr("file", "user.a", buf, 2));
    SHOW(getxattr("file", "user.a", wild, 10));
    SHOW(setxattr("file", "user.a", "two", 3, XATTR_CREATE));
    SHOW(setxattr("file", "user.a", "two", 3, XATTR_REPLACE));
    SHOW(setxattr("file", "user.b", "x", 1, XATTR_REPLACE));
    SHOW(setxattr("file", "user.b", "x", 1, XATTR_CREATE | XATTR_REPLACE));
    SHOW(setxattr("file", "user.b", "x", 1, 4));
    SHOW(setxattr("file", "user.b", "", 0, XATTR_CREATE));
    SHOW(setxattr("file", "user.b", NULL, 0, 0));
    SHOW(getxattr("file", "user.b", buf, sizeof buf));
    SHOW(fgetxattr(fd, "user.a", buf, sizeof buf));
    printf("%.3s\n", buf);
    SHOW(fsetxattr(fd, "user.c", "three", 5, 0));
    list("three", "file");
    SHOW(listxattr("file", NULL, 0));
    SHOW(listxattr("file", buf, 5));
    SHOW(flistxattr(fd, NULL, 0));
    SHOW(removexattr("file", "user.none"));
    SHOW(removexattr("file", "user.a"));
    SHOW(fremovexattr(fd, "user.b"));
    list("one left", "file");
    SHOW(getxattr("file", "user.a", buf, sizeof buf));
    // Names.
    SHOW(setxattr("file", "", "x", 1, 0));
    SHOW(setxattr("file", "user.", "x", 1, 0));
    SHOW(setxattr("file", "user", "x", 1, 0));
    SHOW(setxattr("file", "nonsense.a", "x", 1, 0));
    SHOW(setxattr("file", "trusted.t", "x", 1, 0));
    SHOW(setxattr("file", "security.s", "x", 1, 0));
    SHOW(setxattr("file", "system.x", "x", 1, 0));
    memset(name, 'n', sizeof name);
    memcpy(name, "user.", 5);
    name[255] = 0;
    SHOW(setxattr("file", name, "x", 1, 0));
    SHOW(removexattr("file", name));
    name[255] = 'n';
    name[256] = 0;
    SHOW(setxattr("file", name, "x", 1, 0));
    SHOW(getxattr("file", name, buf, 1));
    list("with others", "file");
    // Values.
    static char big[70000];
    SHOW(setxattr("file", "user.big", big, 65537, 0));
    SHOW(setxattr("file", "user.wild", wild, 5, 0));
    SHOW(setxattr("missing", "user.a", "x", 1, 0));
    SHOW(fsetxattr(99, "user.a", "x", 1, 0));
    int path = open("file", O_PATH);
    SHOW(fsetxattr(path, "user.a", "x", 1, 0));
    SHOW(fgetxattr(path, "user.c", buf, sizeof buf));
    close(path);
    int reading = open("file", O_RDONLY);
    SHOW(fsetxattr(reading, "user.d", "x", 1, 0));
    close(reading);
    close(fd);
}

static void links(void) {
    char buf[8];
    symlink("file", "link");
    mkdir("dir", 0755);
    mkfifo("fifo", 0644);
    SHOW(setxattr("link", "user.via", "x", 1, 0));
    SHOW(lsetxattr("link", "user.on", "x", 1, 0));
    SHOW(lsetxattr("link", "trusted.on", "x", 1, 0));
    SHOW(lgetxattr("link", "trusted.on", buf, 8));
    SHOW(lgetxattr("link", "user.via", buf, 8));
    SHOW(getxattr("link", "user.via", buf, 8));
    list("link", "link");
    SHOW(lremovexattr("link", "trusted.on"));
    SHOW(setxattr("dir", "user.d", "x", 1, 0));
    SHOW(setxattr("fifo", "user.f", "x", 1, 0));
    SHOW(getxattr("fifo", "user.f", buf, 8));
    SHOW(setxattr("fifo", "trusted.f", "x", 1, 0));
    // They go with the file, not with the name.
    link("file", "second");
    rename("file", "third");
    list("second", "second");
    list("third", "third");
    rename("third", "file");
    unlink("second");
}

static void rights(void) {
    char buf[8];
    chmod("file", 0644);
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        setgid(1000);
        setuid(1000);
        SHOW(getxattr("file", "user.c", buf, 8));
        SHOW(setxattr("file", "user.c", "x", 1, 0));
        SHOW(removexattr("file", "user.c"));
        SHOW(getxattr("file", "trusted.t", buf, 8));
        SHOW(setxattr("file", "trusted.t", "x", 1, 0));
        SHOW(setxattr("file", "security.s", "x", 1, 0));
        SHOW(getxattr("file", "security.s", buf, 8));
        list("as another", "file");
        exit(0);
    }
    waitpid(child, NULL, 0);
    chmod("file", 0600);
    chmod("dir", 01777);
    child = fork();
    if (!child) {
        setgid(1000);
        setuid(1000);
        SHOW(getxattr("file", "user.c", buf, 8));
        list("not readable", "file");
        SHOW(setxattr("dir", "user.d", "y", 1, 0));
        exit(0);
    }
    waitpid(child, NULL, 0);
    // Writing a file drops its capabilities, not what is the user's.
    int fd = open("file", O_RDWR);
    write(fd, "x", 1);
    close(fd);
    list("written", "file");
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    snprintf(here, sizeof here, "/dev/shm/attributes-%d", getpid());
    umask(022);
    mkdir(here, 0755);
    chdir(here);
    values();
    links();
    rights();
    unlink("file");
    unlink("link");
    unlink("fifo");
    rmdir("dir");
    chdir("/");
    SHOW(rmdir(here));
    return 0;
}
