// What a user may have only so many of: queued signals, timers, inotify instances and watches.
#include "check.h"
#include <sys/inotify.h>
#include <sys/resource.h>

static long setting(const char *path) {
    long value = -1;
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%ld", &value) != 1) printf("%s: errno %d\n", path, errno);
    if (file) fclose(file);
    return value;
}

static void signals(void) {
    struct rlimit none = {0, 0};
    struct timespec now = {0, 0};
    union sigval value = {.sival_int = 3};
    timer_t timer;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    CHECK(!sigqueue(getpid(), SIGRTMIN, value));
    OK(setrlimit(RLIMIT_SIGPENDING, &none));
    SHOW(sigqueue(getpid(), SIGRTMIN, value));
    SHOW(sigqueue(getpid(), SIGUSR1, value));
    // Without its value it is sent all the same, once.
    SHOW(kill(getpid(), SIGRTMIN));
    SHOW(kill(getpid(), SIGRTMIN));
    SHOW(timer_create(CLOCK_MONOTONIC, NULL, &timer));
    siginfo_t info;
    for (int i = 0; i < 4; i++) {
        int got = sigtimedwait(&set, &info, &now);
        printf("%s\n", got < 0 ? strerror(errno) : got == SIGUSR1 ? "SIGUSR1" : "SIGRTMIN");
    }
    // What was taken counts no more, but the limit is still none.
    SHOW(sigqueue(getpid(), SIGRTMIN, value));
}

static void watches(void) {
    long most = setting("/proc/sys/fs/inotify/max_user_instances");
    long watches = setting("/proc/sys/fs/inotify/max_user_watches");
    long events = setting("/proc/sys/fs/inotify/max_queued_events");
    CHECK(most >= 128 && watches >= 8192 && events >= 16384);
    CHECK(setting("/proc/sys/fs/epoll/max_user_watches") > 1000);
    static int fds[20000];
    long made = 0;
    struct rlimit many = {20000, 20000};
    setrlimit(RLIMIT_NOFILE, &many);
    while (made < 20000 && (fds[made] = inotify_init1(IN_CLOEXEC)) >= 0) made++;
    int error = errno;
    CHECK(made <= most && made > 0);
    printf("then errno %d\n", error);
    for (long i = 0; i < made; i++) close(fds[i]);
    int again = inotify_init1(0);
    CHECK(again >= 0);
    close(again);
}

int main(void) {
    signals();
    watches();
    return 0;
}
