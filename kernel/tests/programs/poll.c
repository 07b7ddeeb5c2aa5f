// poll, ppoll, select, pselect6: events of each kind of file, errors, timeouts, masks.
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/timerfd.h>

static void events_of(const char *what, int fd, short events) {
    struct pollfd one = {fd, events, 0x7fff};
    int n = poll(&one, 1, 0);
    printf("%s: %d events %x\n", what, n, one.revents);
}

static void kinds(void) {
    enum { ALL = POLLIN | POLLOUT | POLLPRI | POLLRDNORM | POLLWRNORM | POLLRDBAND | POLLWRBAND | 0x2000 };
    int fds[2];
    pipe(fds);
    events_of("pipe, read end", fds[0], ALL);
    events_of("pipe, write end", fds[1], ALL);
    write(fds[1], "x", 1);
    events_of("pipe with data", fds[0], ALL);
    events_of("pipe with data, nothing asked", fds[0], 0);
    int flags = fcntl(fds[1], F_GETFL);
    fcntl(fds[1], F_SETFL, flags | O_NONBLOCK);
    static char page[4096];
    while (write(fds[1], page, sizeof page) > 0) {}
    events_of("full pipe", fds[1], ALL);
    read(fds[0], page, 1);
    events_of("full pipe, a byte read", fds[1], ALL);
    read(fds[0], page, 4096);
    events_of("full pipe, a page read", fds[1], ALL);
    int copy = dup(fds[0]);
    close(fds[0]);
    events_of("one reader of two", fds[1], ALL);
    close(copy);
    events_of("no reader", fds[1], ALL);
    close(fds[1]);
    pipe(fds);
    write(fds[1], "x", 1);
    close(fds[1]);
    events_of("no writer, data", fds[0], ALL);
    read(fds[0], page, 9);
    events_of("no writer", fds[0], ALL);
    events_of("no writer, nothing asked", fds[0], 0);
    close(fds[0]);
    events_of("closed", fds[0], ALL);
    events_of("negative", -5, ALL);
    mkfifo("fifo", 0600);
    int reader = open("fifo", O_RDONLY | O_NONBLOCK);
    events_of("fifo never opened for writing", reader, ALL);
    int writer = open("fifo", O_WRONLY);
    events_of("fifo", reader, ALL);
    close(writer);
    events_of("fifo, writer gone", reader, ALL);
    int file = open("file", O_RDWR | O_CREAT, 0600);
    events_of("file", file, ALL);
    int dir = open(".", O_RDONLY);
    events_of("directory", dir, ALL);
    int path = open(".", O_PATH);
    events_of("O_PATH", path, ALL);
    int fd = open("/dev/null", O_RDWR);
    events_of("/dev/null", fd, ALL);
    fd = open("/dev/zero", O_RDWR);
    events_of("/dev/zero", fd, ALL);
    fd = open("/dev/urandom", O_RDWR);
    events_of("/dev/urandom", fd, ALL);
    fd = open("/proc/self/stat", O_RDONLY);
    events_of("/proc/self/stat", fd, ALL);
    fd = eventfd(0, 0);
    events_of("eventfd 0", fd, ALL);
    eventfd_write(fd, 1);
    events_of("eventfd 1", fd, ALL);
    eventfd_write(fd, 0xfffffffffffffffdULL);
    events_of("eventfd full", fd, ALL);
    fd = timerfd_create(CLOCK_MONOTONIC, 0);
    events_of("timerfd", fd, ALL);
    for (fd = 3; fd < 20; fd++) close(fd);
}

static void errors(void) {
    struct pollfd two[2] = {{-1, POLLIN, 7}, {99, POLLIN, 7}};
    SHOW(poll(two, 2, -1));
    printf("%x %x\n", two[0].revents, two[1].revents);
    SHOW(poll(NULL, 0, 0));
    SHOW(poll(wild, 1, 0));
    SHOW(poll(wild, 0, 0));
    struct rlimit limit, low = {16, 16};
    getrlimit(RLIMIT_NOFILE, &limit);
    low.rlim_max = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &low);
    SHOW(poll(NULL, 17, 0));
    SHOW(poll(wild, 16, 0));
    setrlimit(RLIMIT_NOFILE, &limit);
    struct timespec bad = {0, 1000000000}, negative = {-1, 0}, zero = {0, 0};
    SHOW(ppoll(NULL, 0, &bad, NULL));
    SHOW(ppoll(NULL, 0, &negative, NULL));
    SHOW(ppoll(NULL, 0, &zero, NULL));
    SHOW(syscall(SYS_ppoll, NULL, 0, wild, NULL, 8));
    SHOW(syscall(SYS_ppoll, NULL, 0, &zero, wild, 8));
    SHOW(syscall(SYS_ppoll, NULL, 0, &zero, &zero, 4));
    fd_set set;
    FD_ZERO(&set);
    struct timeval tv = {0, 0}, bad_tv = {0, -1}, carry_tv = {0, 3000000};
    SHOW(select(0, NULL, NULL, NULL, &tv));
    SHOW(select(-1, &set, NULL, NULL, &tv));
    SHOW(syscall(SYS_select, 0, NULL, NULL, NULL, &bad_tv));
    SHOW(syscall(SYS_select, 8, wild, NULL, NULL, &tv));
    SHOW(syscall(SYS_select, 8, NULL, NULL, NULL, wild));
    FD_SET(7, &set);
    SHOW(select(8, &set, NULL, NULL, &tv));
    SHOW(syscall(SYS_select, 7, &set, NULL, NULL, &carry_tv));
    SHOW(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &bad, NULL));
    SHOW(syscall(SYS_pselect6, 0, NULL, NULL, NULL, wild, NULL));
    SHOW(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &zero, wild));
    struct { const void *mask; size_t size; } wrong = {&set, 4}, none = {NULL, 4};
    SHOW(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &zero, &wrong));
    SHOW(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &zero, &none));
    // More descriptors than there can be: those beyond the table are not looked at.
    static fd_set many[4];
    memset(many, 0, sizeof many);
    SHOW(syscall(SYS_select, 4096, many, NULL, NULL, &tv));
    memset(&many[3], 0xff, sizeof many[3]);
    SHOW(syscall(SYS_select, 4096, many, NULL, NULL, &tv));
}

static void show_set(const char *what, fd_set *set) {
    printf("%s:", what);
    for (int i = 0; i < 64; i++)
        if (FD_ISSET(i, set)) printf(" %d", i);
    printf("\n");
}

static void sets(void) {
    int fds[2], hung[2];
    pipe(fds);
    pipe(hung);
    close(hung[1]);
    write(fds[1], "x", 1);
    fd_set in, out, except;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&except);
    FD_SET(fds[0], &in);
    FD_SET(fds[1], &in);
    FD_SET(hung[0], &in);
    FD_SET(fds[0], &out);
    FD_SET(fds[1], &out);
    FD_SET(fds[0], &except);
    FD_SET(hung[0], &except);
    struct timeval tv = {5, 0};
    SHOW(select(hung[0] + 1, &in, &out, &except, &tv));
    show_set("in", &in);
    show_set("out", &out);
    show_set("except", &except);
    CHECK(tv.tv_sec <= 5);
    // Only the bits below the count are touched, in whole longs.
    FD_ZERO(&in);
    FD_SET(fds[0], &in);
    FD_SET(200, &in);
    tv.tv_sec = tv.tv_usec = 0;
    SHOW(syscall(SYS_select, fds[0] + 1, &in, NULL, NULL, &tv));
    CHECK(FD_ISSET(200, &in));
    char c;
    read(fds[0], &c, 1);
    tv.tv_usec = 20000;
    FD_ZERO(&in);
    FD_SET(fds[0], &in);
    SHOW(syscall(SYS_select, fds[0] + 1, &in, NULL, NULL, &tv));
    show_set("in", &in);
    printf("left %ld.%06ld\n", (long)tv.tv_sec, (long)tv.tv_usec);
    close(fds[0]);
    // No reader: an error is readable to select, not exceptional.
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&except);
    FD_SET(fds[1], &in);
    FD_SET(fds[1], &out);
    FD_SET(fds[1], &except);
    SHOW(select(fds[1] + 1, &in, &out, &except, &tv));
    show_set("in", &in);
    show_set("out", &out);
    show_set("except", &except);
    close(fds[1]);
    close(hung[0]);
}

static volatile int handled;

static void on_signal(int signal) {
    handled = signal;
}

static void *poke(void *arg) {
    sleep_ms(30);
    write((int)(long)arg, "x", 1);
    return NULL;
}

static void *wait_closed(void *arg) {
    sleep_ms(30);
    close((int)(long)arg);
    return NULL;
}

static long since(struct timespec *from) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - from->tv_sec) * 1000 + (now.tv_nsec - from->tv_nsec) / 1000000;
}

static void waiting(void) {
    int fds[2];
    pipe(fds);
    struct pollfd both[2] = {{fds[0], POLLIN, 0}, {fds[0], POLLOUT, 0}};
    struct timespec start;
    pthread_t thread;
    clock_gettime(CLOCK_MONOTONIC, &start);
    SHOW(poll(both, 2, 30));
    CHECK(since(&start) >= 29);
    pthread_create(&thread, NULL, poke, (void *)(long)fds[1]);
    SHOW(poll(both, 2, -1));
    printf("%x %x\n", both[0].revents, both[1].revents);
    pthread_join(thread, NULL);
    struct pollfd same[3] = {{fds[0], POLLIN, 0}, {fds[0], POLLIN, 0}, {-1, POLLIN, 9}};
    SHOW(poll(same, 3, -1));
    char c;
    read(fds[0], &c, 1);
    // The last writer goes while poll waits for its end.
    pthread_create(&thread, NULL, wait_closed, (void *)(long)fds[1]);
    SHOW(poll(both, 1, 2000));
    printf("%x\n", both[0].revents);
    pthread_join(thread, NULL);
    close(fds[0]);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    sigset_t block, none, now;
    sigemptyset(&none);
    sigemptyset(&block);
    sigaddset(&block, SIGALRM);
    sigprocmask(SIG_BLOCK, &block, NULL);
    raise(SIGALRM);
    struct timespec ms = {0, 10000000}, long_time = {5, 0};
    SHOW(ppoll(NULL, 0, &ms, NULL));
    SHOW(handled);
    SHOW(ppoll(NULL, 0, NULL, &none));
    SHOW(handled);
    sigprocmask(SIG_BLOCK, NULL, &now);
    CHECK(sigismember(&now, SIGALRM));
    handled = 0;
    raise(SIGALRM);
    SHOW(pselect(0, NULL, NULL, NULL, &long_time, &none));
    SHOW(handled);
    // Linux writes back what is left to the raw calls.
    raise(SIGALRM);
    struct { const void *mask; size_t size; } with = {&none, 8};
    SHOW(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &long_time, &with));
    CHECK(long_time.tv_sec == 4 || (long_time.tv_sec == 5 && long_time.tv_nsec == 0));
    raise(SIGALRM);
    struct timespec five = {5, 0};
    SHOW(syscall(SYS_ppoll, NULL, 0, &five, &none, 8));
    CHECK(five.tv_sec == 4);
    sigprocmask(SIG_UNBLOCK, &block, NULL);
    // poll and select end for a handler, whatever its flags; a stop only delays them.
    pid_t parent = getpid();
    for (int round = 0; round < 2; round++) {
        fflush(stdout);
        pid_t child = fork();
        if (!child) {
            sleep_ms(40);
            kill(parent, SIGALRM);
            _exit(0);
        }
        struct timeval tv = {5, 0};
        SHOW(round ? poll(NULL, 0, -1) : syscall(SYS_select, 0, NULL, NULL, NULL, &tv));
        if (!round) CHECK(tv.tv_sec == 4);
        waitpid(child, NULL, 0);
    }
    pipe(fds);
    for (int round = 0; round < 2; round++) {
        pid_t child = fork();
        if (!child) {
            struct pollfd one = {fds[0], POLLIN, 0};
            fd_set in;
            FD_ZERO(&in);
            FD_SET(fds[0], &in);
            int result = round ? poll(&one, 1, -1) : select(fds[0] + 1, &in, NULL, NULL, NULL);
            _exit(result == -1 ? errno : 100 + result);
        }
        int status;
        sleep_ms(40);
        kill(child, SIGSTOP);
        waitpid(child, &status, WUNTRACED);
        kill(child, SIGCONT);
        sleep_ms(40);
        write(fds[1], "x", 1);
        waitpid(child, &status, 0);
        show_status("stopped and continued", status);
        char d;
        read(fds[0], &d, 1);
    }
}

int main(void) {
    kinds();
    errors();
    sets();
    waiting();
    return 0;
}
