// epoll: triggers, one-shot, exclusive, nesting, changes, descriptors that are closed or reused,
// timeouts, signal masks, many waiters.
#include "check.h"
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

static struct epoll_event out[16];

static int add(int ep, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event);
}

static int mod(int ep, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(ep, EPOLL_CTL_MOD, fd, &event);
}

// Prints what is ready now.
static void ready(const char *when, int ep) {
    int n = epoll_wait(ep, out, 16, 0);
    printf("%s:", when);
    if (n < 0) printf(" errno %d", errno);
    for (int i = 0; i < n; i++) printf(" %llx=%x", (unsigned long long)out[i].data.u64, out[i].events);
    printf("\n");
}

static void errors(void) {
    int fds[2];
    pipe(fds);
    SHOW(syscall(SYS_epoll_create, 0));
    SHOW(syscall(SYS_epoll_create, -1));
    SHOW(epoll_create1(1));
    int ep = epoll_create1(EPOLL_CLOEXEC);
    SHOW(fcntl(ep, F_GETFD));
    SHOW(fcntl(ep, F_GETFL));
    struct epoll_event event = {.events = EPOLLIN};
    SHOW(epoll_ctl(-1, EPOLL_CTL_ADD, fds[0], &event));
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, -1, &event));
    SHOW(epoll_ctl(ep, 9, fds[0], &event));
    SHOW(epoll_ctl(fds[0], EPOLL_CTL_ADD, fds[1], &event));
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &event));
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], NULL));
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], wild));
    SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, fds[0], &event));
    SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, fds[0], NULL));
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &event));
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &event));
    SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, fds[0], NULL));
    int file = open("file", O_RDWR | O_CREAT, 0600);
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, file, &event));
    int dir = open(".", O_RDONLY);
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, dir, &event));
    int null = open("/dev/null", O_RDWR);
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, null, &event));
    int path = open(".", O_PATH);
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, path, &event));
    SHOW(epoll_wait(ep, out, 0, 0));
    SHOW(epoll_wait(ep, out, -1, 0));
    SHOW(epoll_wait(ep, out, 0x7fffffff, 0));
    SHOW(epoll_wait(fds[0], out, 1, 0));
    SHOW(epoll_wait(99, out, 1, 0));
    SHOW(epoll_wait(ep, wild, 1, 0));
    SHOW(epoll_wait(ep, out, 1, 0));
    char c;
    SHOW(read(ep, &c, 1));
    SHOW(write(ep, &c, 1));
    SHOW(lseek(ep, 0, SEEK_SET));
    // What could not be stored is still there.
    write(fds[1], "x", 1);
    add(ep, fds[0], EPOLLIN | EPOLLET, 0x77);
    SHOW(epoll_wait(ep, wild, 1, 0));
    ready("after a fault", ep);
    ready("edge seen", ep);
    mod(ep, fds[0], EPOLLIN | EPOLLONESHOT, 0x78);
    SHOW(epoll_wait(ep, wild, 1, 0));
    ready("one-shot after a fault", ep);
    for (int fd = 3; fd < 12; fd++) close(fd);
}

static void triggers(void) {
    int fds[2];
    char buf[8];
    pipe(fds);
    int ep = epoll_create1(0);
    add(ep, fds[0], EPOLLIN, 1);
    ready("empty pipe", ep);
    write(fds[1], "ab", 2);
    ready("level", ep);
    ready("level again", ep);
    read(fds[0], buf, 1);
    ready("level, some left", ep);
    read(fds[0], buf, 1);
    ready("level, drained", ep);
    mod(ep, fds[0], EPOLLIN | EPOLLET, 2);
    write(fds[1], "ab", 2);
    ready("edge", ep);
    ready("edge again", ep);
    read(fds[0], buf, 1);
    ready("edge, some left", ep);
    write(fds[1], "c", 1);
    ready("edge, more came", ep);
    mod(ep, fds[0], EPOLLIN | EPOLLET, 3);
    ready("edge, changed", ep);
    mod(ep, fds[0], EPOLLIN | EPOLLONESHOT, 4);
    ready("one-shot", ep);
    write(fds[1], "d", 1);
    ready("one-shot spent", ep);
    mod(ep, fds[0], EPOLLIN | EPOLLONESHOT, 5);
    ready("one-shot armed", ep);
    mod(ep, fds[0], 0, 6);
    ready("no events", ep);
    close(fds[1]);
    ready("no events, hung up", ep);
    mod(ep, fds[0], EPOLLIN | EPOLLRDHUP | EPOLLRDNORM, 7);
    ready("hung up", ep);
    read(fds[0], buf, 8);
    ready("hung up, drained", ep);
    epoll_ctl(ep, EPOLL_CTL_DEL, fds[0], NULL);
    ready("removed", ep);
    close(fds[0]);
    pipe(fds);
    add(ep, fds[1], EPOLLOUT | EPOLLET, 8);
    ready("writable edge", ep);
    ready("writable edge again", ep);
    close(fds[0]);
    ready("no readers", ep);
    mod(ep, fds[1], EPOLLOUT, 9);
    ready("no readers, level", ep);
    close(fds[1]);
    ready("closed", ep);
    // More ready than asked for: they take turns.
    int events[3];
    for (int i = 0; i < 3; i++) {
        events[i] = eventfd(1, EFD_NONBLOCK);
        add(ep, events[i], EPOLLIN, 0x10 + i);
    }
    for (int i = 0; i < 4; i++) {
        int n = epoll_wait(ep, out, 2, 0);
        printf("turn %d: %d %llx %llx\n", i, n, (unsigned long long)out[0].data.u64, (unsigned long long)out[1].data.u64);
    }
    for (int i = 0; i < 3; i++) close(events[i]);
    close(ep);
}

static void descriptors(void) {
    int fds[2];
    int ep = epoll_create1(0);
    pipe(fds);
    write(fds[1], "x", 1);
    add(ep, fds[0], EPOLLIN, 1);
    int copy = dup(fds[0]);
    SHOW(add(ep, copy, EPOLLIN, 2));
    ready("two descriptors", ep);
    close(copy);
    // The file is open elsewhere, so the closed descriptor's entry stays, and cannot be removed.
    ready("one closed", ep);
    SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, copy, NULL));
    close(fds[0]);
    ready("both closed", ep);
    int again[2];
    pipe(again);
    CHECK(again[0] == fds[0]);
    SHOW(add(ep, again[0], EPOLLIN, 3));
    ready("number reused", ep);
    write(again[1], "x", 1);
    ready("number reused, written", ep);
    fflush(stdout);
    // A child's copy keeps the entry alive after the parent closed its own.
    pid_t child = fork();
    if (!child) {
        close(fds[1]);
        for (;;) pause();
    }
    close(again[0]);
    ready("open in the child", ep);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    ready("child gone", ep);
    // Watching an instance from a child: it is the same one.
    pipe(fds);
    child = fork();
    if (!child) _exit(add(ep, fds[0], EPOLLIN, 4) ? 1 : 0);
    int status;
    waitpid(child, &status, 0);
    show_status("adding in a child", status);
    write(fds[1], "x", 1);
    ready("added by the child", ep);
    close(ep);
    for (int fd = 3; fd < 12; fd++) close(fd);
}

static void nesting(void) {
    int inner = epoll_create1(0), outer = epoll_create1(0);
    int fd = eventfd(0, EFD_NONBLOCK);
    SHOW(add(outer, inner, EPOLLIN, 1));
    SHOW(add(inner, outer, EPOLLIN, 2));
    SHOW(add(inner, fd, EPOLLIN, 3));
    ready("outer, nothing", outer);
    eventfd_write(fd, 1);
    ready("outer", outer);
    ready("outer again", outer);
    ready("inner", inner);
    eventfd_t value;
    eventfd_read(fd, &value);
    ready("outer, read", outer);
    ready("inner, read", inner);
    mod(inner, fd, EPOLLIN | EPOLLET, 4);
    mod(outer, inner, EPOLLIN | EPOLLET, 5);
    eventfd_write(fd, 1);
    ready("outer edge", outer);
    ready("outer edge again", outer);
    ready("inner edge", inner);
    ready("inner edge again", inner);
    eventfd_write(fd, 1);
    ready("outer edge, written", outer);
    close(inner);
    ready("inner closed", outer);
    int chain[7];
    for (int i = 0; i < 7; i++) chain[i] = epoll_create1(0);
    int deepest = -1;
    for (int i = 1; i < 7; i++) {
        if (add(chain[i], chain[i - 1], EPOLLIN, i)) {
            deepest = i;
            printf("chain ends with errno %d\n", errno);
            break;
        }
    }
    SHOW(deepest);
    SHOW(add(chain[3], chain[0], EPOLLIN | EPOLLEXCLUSIVE, 9));
    for (int fd2 = 3; fd2 < 16; fd2++) close(fd2);
}

static void exclusive(void) {
    int ep = epoll_create1(0), fd = eventfd(0, EFD_NONBLOCK);
    SHOW(add(ep, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 1));
    SHOW(add(ep, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLRDHUP, 1));
    SHOW(add(ep, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLET | EPOLLWAKEUP, 1));
    SHOW(mod(ep, fd, EPOLLIN, 2));
    SHOW(mod(ep, fd, EPOLLIN | EPOLLEXCLUSIVE, 2));
    eventfd_write(fd, 1);
    ready("exclusive", ep);
    SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
    SHOW(add(ep, fd, EPOLLIN, 3));
    SHOW(mod(ep, fd, EPOLLIN | EPOLLEXCLUSIVE, 2));
    close(fd);
    close(ep);
}

static void *poke(void *arg) {
    sleep_ms(30);
    eventfd_write((int)(long)arg, 1);
    return NULL;
}

static volatile int handled;

static void on_signal(int signal) {
    handled = signal;
}

static long since(struct timespec *from) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - from->tv_sec) * 1000 + (now.tv_nsec - from->tv_nsec) / 1000000;
}

static void waiting(void) {
    int ep = epoll_create1(0), fd = eventfd(0, 0);
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    SHOW(epoll_wait(ep, out, 1, 30));
    CHECK(since(&start) >= 29);
    add(ep, fd, EPOLLIN, 1);
    pthread_t thread;
    pthread_create(&thread, NULL, poke, (void *)(long)fd);
    SHOW(epoll_wait(ep, out, 1, -1));
    pthread_join(thread, NULL);
    eventfd_t value;
    eventfd_read(fd, &value);
    struct timespec t = {0, 20000000}, zero = {0, 0}, bad = {0, 1000000000}, negative = {-1, 0};
    clock_gettime(CLOCK_MONOTONIC, &start);
    SHOW(syscall(SYS_epoll_pwait2, ep, out, 1, &t, NULL, 8));
    CHECK(since(&start) >= 19);
    SHOW(syscall(SYS_epoll_pwait2, ep, out, 1, &zero, NULL, 8));
    SHOW(syscall(SYS_epoll_pwait2, ep, out, 1, &bad, NULL, 8));
    SHOW(syscall(SYS_epoll_pwait2, ep, out, 1, &negative, NULL, 8));
    SHOW(syscall(SYS_epoll_pwait2, ep, out, 1, wild, NULL, 8));
    // Signals: the call's mask replaces the thread's, and a signal pending under it ends the wait.
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    sigset_t block, none, now;
    sigemptyset(&none);
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    sigprocmask(SIG_BLOCK, &block, NULL);
    raise(SIGUSR1);
    SHOW(epoll_pwait(ep, out, 1, 10, &block));
    SHOW(handled);
    SHOW(epoll_pwait(ep, out, 1, -1, &none));
    SHOW(handled);
    sigprocmask(SIG_BLOCK, NULL, &now);
    CHECK(sigismember(&now, SIGUSR1));
    // Something ready wins, and the signal stays pending.
    handled = 0;
    eventfd_write(fd, 1);
    raise(SIGUSR1);
    SHOW(epoll_pwait(ep, out, 1, -1, &none));
    sigprocmask(SIG_BLOCK, NULL, &now);
    CHECK(sigismember(&now, SIGUSR1));
    SHOW(syscall(SYS_epoll_pwait, ep, out, 1, 0, &none, 4));
    SHOW(syscall(SYS_epoll_pwait, ep, out, 1, 0, wild, 8));
    SHOW(syscall(SYS_epoll_pwait, ep, out, 1, 0, NULL, 3));
    sigprocmask(SIG_UNBLOCK, &block, NULL);
    SHOW(handled);
    // A handler ends the wait even with SA_RESTART; a stop and a continue too.
    eventfd_read(fd, &value);
    pid_t parent = getpid();
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        sleep_ms(40);
        kill(parent, SIGUSR1);
        _exit(0);
    }
    SHOW(epoll_wait(ep, out, 1, -1));
    waitpid(child, NULL, 0);
    child = fork();
    if (!child) {
        int result = epoll_wait(ep, out, 1, 3000);
        _exit(result == 0 ? 0 : result == -1 ? errno : 100 + result);
    }
    int status;
    sleep_ms(40);
    kill(child, SIGSTOP);
    waitpid(child, &status, WUNTRACED);
    kill(child, SIGCONT);
    sleep_ms(40);
    eventfd_write(fd, 1);
    waitpid(child, &status, 0);
    show_status("stopped and continued in epoll_wait", status);
    close(ep);
    close(fd);
}

static int shared_ep;

static void *wait_once(void *arg) {
    struct epoll_event event;
    (void)arg;
    return (void *)(long)epoll_wait(shared_ep, &event, 1, 150);
}

static void crowd(void) {
    // Four threads wait for one instance; one edge wakes one of them.
    int fd = eventfd(0, EFD_NONBLOCK);
    shared_ep = epoll_create1(0);
    add(shared_ep, fd, EPOLLIN | EPOLLET, 1);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, wait_once, NULL);
    sleep_ms(60);
    eventfd_write(fd, 1);
    long woken = 0;
    for (int i = 0; i < 4; i++) {
        void *result;
        pthread_join(threads[i], &result);
        woken += (long)result;
    }
    SHOW(woken);
    close(fd);
    close(shared_ep);
}

int main(void) {
    errors();
    triggers();
    descriptors();
    nesting();
    exclusive();
    waiting();
    crowd();
    return 0;
}
