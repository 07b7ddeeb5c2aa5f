// overlayfs: merging, copying up, whiteouts, opaque directories, renames, links, and a long sequence
// of random operations, after which both the overlay and its upper layer are listed.
#include "check.h"
#include <dirent.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

static void put(const char *path, const char *text) {
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        printf("cannot write %s: errno %d\n", path, errno);
    close(fd);
}

static void show_file(const char *path) {
    char text[200] = {0};
    struct stat st;
    if (lstat(path, &st)) {
        printf("%s: errno %d\n", path, errno);
        return;
    }
    // Whiteouts may be names of one file, or files of their own.
    printf("%s: mode %o links %lu size %ld owner %d:%d", path, st.st_mode,
           S_ISCHR(st.st_mode) ? 0L : (unsigned long)st.st_nlink,
           S_ISDIR(st.st_mode) ? 0L : (long)st.st_size, st.st_uid, st.st_gid);
    if (S_ISCHR(st.st_mode))
        printf(" device %d:%d", (int)major(st.st_rdev), (int)minor(st.st_rdev));
    if (S_ISLNK(st.st_mode) && readlink(path, text, sizeof text - 1) > 0)
        printf(" -> %s", text);
    if (S_ISREG(st.st_mode)) {
        int fd = open(path, O_RDONLY);
        ssize_t got = read(fd, text, sizeof text - 1);
        printf(" \"%.*s\"", (int)got, text);
        close(fd);
    }
    puts("");
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

// Everything below a directory; also whether the numbers in the listing are those of the files.
static void show_tree(const char *top) {
    struct dirent **entries;
    int count = scandir(top, &entries, NULL, by_name);
    if (count < 0) {
        printf("%s: errno %d\n", top, errno);
        return;
    }
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        if (strcmp(name, ".") && strcmp(name, "..")) {
            char path[300];
            snprintf(path, sizeof path, "%s/%s", top, name);
            show_file(path);
            struct stat st;
            if (!lstat(path, &st)) {
                if (st.st_ino != entries[i]->d_ino)
                    printf("%s: the listing has another number\n", path);
                if ((mode_t)DTTOIF(entries[i]->d_type) != (st.st_mode & S_IFMT))
                    printf("%s: the listing has another type\n", path);
                if (S_ISDIR(st.st_mode))
                    show_tree(path);
            }
        }
        free(entries[i]);
    }
    free(entries);
}

static int rename_with(const char *from, const char *to, unsigned flags) {
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static int lay(const char *options) {
    return mount("overlay", "m", "overlay", 0, options);
}

static void layers(void) {
    const char *directories[] = {"l1", "l2", "u", "w", "m", "l1/d", "l2/d", "l2/d/sub", "l2/empty", "l1/top"};
    for (unsigned i = 0; i < sizeof directories / sizeof *directories; i++)
        mkdir(directories[i], 0755);
    put("l1/a", "a of l1");
    put("l2/a", "a of l2");
    put("l2/b", "b of l2");
    put("l1/d/x", "x of l1");
    put("l2/d/x", "x of l2");
    put("l2/d/y", "y of l2");
    put("l2/d/sub/z", "z of l2");
    put("l2/top", "a file below a directory");
    put("l1/top/t", "t of l1");
    put("l1/linked", "two names");
    link("l1/linked", "l1/other");
    symlink("a", "l2/symlink");
    mkfifo("l2/fifo", 0600);
    put("l2/mapped", "below");
}

static void mounting(void) {
    SHOW(lay("lowerdir=l1"));
    SHOW(lay("lowerdir=none,upperdir=u,workdir=w"));
    SHOW(lay("lowerdir=l1,upperdir=u"));
    SHOW(lay("upperdir=u,workdir=w"));
    SHOW(lay("lowerdir=l1,upperdir=none,workdir=w"));
    SHOW(lay("lowerdir=l1,upperdir=u,workdir=none"));
    SHOW(lay("lowerdir=l1/a,upperdir=u,workdir=w"));
    SHOW(lay("lowerdir=l1,upperdir=u,workdir=u"));
    SHOW(lay("lowerdir=l1,upperdir=u,workdir=u/.."));
    SHOW(lay("lowerdir=l1,upperdir=u,workdir=w,colour=red"));
    SHOW(lay(""));
    SHOW(lay("lowerdir="));
    SHOW(lay("lowerdir=l1:,upperdir=u,workdir=w"));
    SHOW(lay("lowerdir=l1,upperdir=l1,workdir=w"));
    SHOW(lay("lowerdir=l1:l1,upperdir=u,workdir=w"));
    SHOW(lay("lowerdir=l1:l2"));
    SHOW(open("m/a", O_RDWR));
    SHOW(mkdir("m/new", 0755));
    show_file("m/d/y");
    SHOW(umount("m"));
    SHOW(lay("lowerdir=l1:l2,upperdir=u,workdir=w"));
    struct statfs fs;
    SHOW(statfs("m", &fs));
    printf("type %lx\n", (unsigned long)fs.f_type);
    show_tree("m");
}

static void copying_up(void) {
    struct stat before, after;
    stat("m/a", &before);
    int old = open("m/a", O_RDONLY);
    int fd = open("m/a", O_WRONLY | O_APPEND);
    SHOW(write(fd, " and more", 9));
    close(fd);
    char text[100] = {0};
    SHOW(read(old, text, sizeof text));
    puts(text);
    SHOW(lseek(old, 0, SEEK_END));
    fstat(old, &after);
    CHECK(before.st_ino == after.st_ino && before.st_dev == after.st_dev);
    close(old);
    show_file("u/a");
    show_file("l1/a");
    int mapped = open("m/mapped", O_RDONLY);
    char *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, mapped, 0);
    printf("%.5s\n", map);
    fd = open("m/mapped", O_RDWR);
    SHOW(pwrite(fd, "above", 5, 0));
    printf("%.5s\n", map);
    char *writable = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    writable[0] = 'A';
    show_file("m/mapped");
    show_file("u/mapped");
    munmap(map, 4096);
    munmap(writable, 4096);
    close(fd);
    close(mapped);
    SHOW(chmod("m/d/sub/z", 0600));
    SHOW(lchown("m/symlink", 1, 2));
    SHOW(chmod("m/fifo", 0640));
    SHOW(truncate("m/d/y", 3));
    SHOW(close(open("m/b", O_RDONLY | O_TRUNC)));
    stat("m/linked", &before);
    stat("m/other", &after);
    CHECK(before.st_ino == after.st_ino);
    put("m/linked", "one name");
    show_tree("u");
    show_tree("m");
}

static void attributes(void) {
    char value[100] = {0};
    SHOW(setxattr("m/d", "user.test", "value", 5, 0));
    SHOW(setxattr("m/d", "user.test", "value", 5, XATTR_CREATE));
    SHOW(getxattr("m/d", "user.test", value, sizeof value));
    SHOW(getxattr("u/d", "user.test", value, sizeof value));
    SHOW(getxattr("l1/d", "user.test", value, sizeof value));
    SHOW(setxattr("m/d", "trusted.overlay.own", "1", 1, 0));
    SHOW(getxattr("m/d", "trusted.overlay.own", value, sizeof value));
    SHOW(getxattr("m/d", "trusted.overlay.origin", value, sizeof value));
    SHOW(removexattr("m/d", "user.test"));
    SHOW(removexattr("m/d", "user.test"));
    SHOW(listxattr("m/d", value, sizeof value));
    SHOW(removexattr("m/top", "user.none"));
    SHOW(access("u/top", F_OK));
}

static void names(void) {
    SHOW(rename("m/d", "m/e"));
    SHOW(rename("m/empty", "m/e"));
    SHOW(rmdir("m/d"));
    SHOW(mkdir("m/new", 0755));
    put("m/new/inside", "inside");
    SHOW(rename("m/new", "m/empty"));
    show_tree("m/empty");
    SHOW(getxattr("u/empty", "trusted.overlay.opaque", NULL, 0));
    SHOW(rename("m/empty", "m/d"));
    SHOW(unlink("m/top"));
    SHOW(unlink("m/top/t"));
    SHOW(rmdir("m/top"));
    show_file("u/top");
    show_file("m/top");
    SHOW(mkdir("m/top", 0700));
    show_tree("m/top");
    SHOW(getxattr("u/top", "trusted.overlay.opaque", NULL, 0));
    SHOW(mknod("m/whiteout", S_IFCHR | 0600, 0));
    SHOW(link("m/other", "m/third"));
    SHOW(unlink("m/other"));
    show_file("m/third");
    SHOW(rename("m/fifo", "m/symlink"));
    SHOW(rename_with("m/symlink", "m/top", 2));
    SHOW(rename_with("m/d", "m/third", 2));
    SHOW(rename_with("m/third", "m/a", 1));
    int fd = open("m/d", O_TMPFILE | O_RDWR, 0600);
    SHOW(write(fd, "nameless", 8));
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    OK(linkat(AT_FDCWD, path, AT_FDCWD, "m/d/named", AT_SYMLINK_FOLLOW));
    close(fd);
    show_tree("u");
    show_tree("m");
}

// Reading goes on after entries that were read are removed and others are made.
static void listing(void) {
    mkdir("l3", 0755);
    mkdir("l4", 0755);
    for (int i = 0; i < 400; i++) {
        char name[40];
        snprintf(name, sizeof name, "l%d/%03d", 3 + i % 2, i);
        put(name, "");
    }
    mkdir("u2", 0755);
    mkdir("w2", 0755);
    SHOW(mount("overlay", "m", "overlay", 0, "lowerdir=l3:l4,upperdir=u2,workdir=w2"));
    DIR *dir = opendir("m");
    char seen[400] = {0};
    int twice = 0, others = 0, removed = 0;
    long place = -1;
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        if (*entry->d_name == '.')
            continue;
        int index = atoi(entry->d_name);
        if (index >= 400) {
            others++;
            continue;
        }
        twice += seen[index]++;
        if (index % 3 == 0) {
            char name[40];
            snprintf(name, sizeof name, "m/%03d", index);
            removed += !unlink(name);
        }
        if (index == 200)
            place = telldir(dir);
    }
    int missed = 0;
    for (int i = 0; i < 400; i++)
        missed += !seen[i];
    printf("twice %d missed %d removed %d others %d\n", twice, missed, removed, others);
    seekdir(dir, place);
    CHECK(telldir(dir) == place);
    rewinddir(dir);
    int left = 0;
    while ((entry = readdir(dir)))
        left += *entry->d_name != '.';
    printf("left %d\n", left);
    closedir(dir);
    SHOW(umount("m"));
}

static uint32_t state = 12345;

static unsigned pick(unsigned below) {
    state = state * 1664525 + 1013904223;
    return (state >> 8) % below;
}

static const char *some(char *buffer) {
    static const char *paths[] = {"a", "b", "d", "d/x", "d/y", "d/sub", "d/sub/z", "d/n", "e", "e/x",
                                  "e/y", "top", "top/t", "top/u", "linked", "other", "empty", "empty/x"};
    sprintf(buffer, "m/%s", paths[pick(sizeof paths / sizeof *paths)]);
    return buffer;
}

static int step(void) {
    char one[40], two[40];
    some(one);
    some(two);
    struct stat st;
    int fd, result = 0;
    switch (pick(12)) {
    case 0:
    case 1:
        fd = open(one, O_CREAT | O_WRONLY | O_APPEND | O_NOFOLLOW, 0644);
        if (fd < 0)
            return -1;
        result = write(fd, "+", 1);
        close(fd);
        return result;
    case 2: return mkdir(one, 0755);
    case 3: return unlink(one);
    case 4: return rmdir(one);
    case 5:
    case 6: return rename(one, two);
    case 7: return rename_with(one, two, pick(2) + 1);
    case 8: return link(one, two);
    case 9: return symlink("target", one);
    case 10: return lstat(one, &st) || S_ISLNK(st.st_mode) ? -1 : chmod(one, pick(2) ? 0700 : 0644);
    default: return lstat(one, &st) || S_ISLNK(st.st_mode) ? -1 : truncate(one, 2);
    }
}

static void random_steps(void) {
    for (int i = 0; i < 3000; i++) {
        errno = 0;
        int result = step();
        printf("%d %d\n", result, result < 0 ? errno : 0);
        if (i % 500 == 499) {
            puts("the overlay:");
            show_tree("m");
            puts("its upper layer:");
            show_tree("u");
        }
        if (i % 1000 == 999) {
            SHOW(umount("m"));
            SHOW(lay("lowerdir=l1:l2,upperdir=u,workdir=w"));
            show_tree("m");
        }
    }
}

int main(void) {
    // On a host the mounts are to be seen by nobody else.
    if (!unshare(CLONE_NEWNS))
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    umask(022);
    SHOW(mkdir("t", 0755));
    SHOW(mount("tmpfs", "t", "tmpfs", 0, "mode=755"));
    SHOW(chdir("t"));
    layers();
    mounting();
    copying_up();
    attributes();
    names();
    SHOW(umount("m"));
    listing();
    SHOW(lay("lowerdir=l1:l2,upperdir=u,workdir=w"));
    show_tree("m");
    random_steps();
    SHOW(umount("m"));
    SHOW(chdir(".."));
    // What is left open below it does not matter.
    SHOW(umount2("t", MNT_DETACH));
    return 0;
}
