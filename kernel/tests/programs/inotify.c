// inotify(7): which events there are, in which order, and the errors of its calls.
#include "check.h"
#include <sys/inotify.h>

static void drain(int fd) {
    char buf[4096] __attribute__((aligned(8)));
    long n = read(fd, buf, sizeof buf);
    if (n < 0) {
        printf("read: errno %d\n", errno);
        return;
    }
    for (char *at = buf; at < buf + n;) {
        struct inotify_event *event = (void *)at;
        printf("watch %d mask %x cookie %d name %s\n", event->wd, event->mask, event->cookie != 0,
               event->len ? event->name : "(none)");
        at += sizeof *event + event->len;
    }
    fflush(stdout);
}

int main(void) {
    char dir[] = "inotify.XXXXXX", buf[8];
    if (!mkdtemp(dir) || chdir(dir)) return 1;
    SHOW(inotify_init1(1));
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    OK(fd);
    SHOW(inotify_add_watch(fd, "nothing", IN_ALL_EVENTS));
    SHOW(inotify_add_watch(fd, ".", 0));
    SHOW(inotify_add_watch(0, ".", IN_CREATE) < 0);
    SHOW(inotify_add_watch(fd, wild, IN_CREATE));
    SHOW(inotify_add_watch(fd, ".", IN_ALL_EVENTS));
    drain(fd);
    int file = open("file", O_CREAT | O_RDWR, 0600);
    SHOW(write(file, "text", 4));
    close(file);
    drain(fd);
    SHOW(inotify_add_watch(fd, "file", IN_ALL_EVENTS));
    SHOW(inotify_add_watch(fd, "file", IN_MODIFY | IN_MASK_CREATE));
    SHOW(inotify_add_watch(fd, "file", IN_CREATE | IN_ONLYDIR));
    file = open("file", O_RDONLY);
    SHOW(read(file, buf, 4));
    close(file);
    drain(fd);
    SHOW(rename("file", "other"));
    drain(fd);
    SHOW(chmod("other", 0644));
    SHOW(mkdir("sub", 0700));
    SHOW(rmdir("sub"));
    drain(fd);
    SHOW(unlink("other"));
    drain(fd);
    SHOW(inotify_rm_watch(fd, 99));
    SHOW(inotify_rm_watch(fd, 1));
    drain(fd);
    SHOW(read(fd, buf, 8));
    SHOW(write(fd, buf, 8));
    if (chdir("..") || rmdir(dir)) return 1;
    drain(fd);
    return 0;
}
