// Storms of processes, pipes, futexes, signals, timers, files and sockets, all at once, whose sums must come out
// right whatever runs when. Made for simulation: nothing here spins, and all time may be virtual.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *storm = "none";

#define MUST(cond)                                                                        \
    do {                                                                                  \
        if (!(cond)) {                                                                    \
            fprintf(stderr, "%s: line %d: %s (errno %d)\n", storm, __LINE__, #cond, errno); \
            _exit(1);                                                                     \
        }                                                                                 \
    } while (0)

static void nap(long us) {
    struct timespec t = {us / 1000000, us % 1000000 * 1000};
    while (nanosleep(&t, &t) && errno == EINTR) {}
}

static void join(int children) {
    int status;
    for (int i = 0; i < children; i++) {
        MUST(wait(&status) > 0);
        MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

// Many writers, many readers: every byte arrives once.
static void pipes(void) {
    int data[2], sums[2];
    MUST(!pipe(data) && !pipe(sums));
    fcntl(data[1], F_SETPIPE_SZ, 4096);
    for (int w = 0; w < 3; w++)
        if (!fork()) {
            for (int i = 0; i < 6; i++) {
                unsigned char block[1500];
                memset(block, w + 1, sizeof block);
                MUST(write(data[1], block, sizeof block) == sizeof block);
                nap(w * 30);
            }
            _exit(0);
        }
    for (int r = 0; r < 2; r++)
        if (!fork()) {
            close(data[1]);
            long sum = 0;
            unsigned char block[700];
            ssize_t got;
            while ((got = read(data[0], block, sizeof block)) > 0)
                for (ssize_t i = 0; i < got; i++)
                    sum += block[i];
            MUST(got == 0 && write(sums[1], &sum, sizeof sum) == sizeof sum);
            _exit(0);
        }
    close(data[0]), close(data[1]);
    long total = 0, sum;
    for (int r = 0; r < 2; r++) {
        MUST(read(sums[0], &sum, sizeof sum) == sizeof sum);
        total += sum;
    }
    MUST(total == 6 * 1500 * (1 + 2 + 3));
    join(5);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER, emptied = PTHREAD_COND_INITIALIZER;
static int queue[3], count, produced, consumed;

static void *produce(void *arg) {
    (void)arg;
    for (int i = 0; i < 8; i++) {
        pthread_mutex_lock(&lock);
        while (count == 3)
            pthread_cond_wait(&emptied, &lock);
        queue[count++] = i;
        produced += i;
        pthread_cond_signal(&filled);
        pthread_mutex_unlock(&lock);
        if (i % 3 == 0)
            nap(20);
    }
    return 0;
}

static void *consume(void *arg) {
    (void)arg;
    for (int i = 0; i < 8; i++) {
        pthread_mutex_lock(&lock);
        while (count == 0)
            pthread_cond_wait(&filled, &lock);
        consumed += queue[--count];
        pthread_cond_signal(&emptied);
        pthread_mutex_unlock(&lock);
    }
    return 0;
}

static void futexes(void) {
    pthread_t threads[6];
    for (int i = 0; i < 6; i++)
        MUST(!pthread_create(&threads[i], 0, i % 2 ? produce : consume, 0));
    for (int i = 0; i < 6; i++)
        MUST(!pthread_join(threads[i], 0));
    MUST(count == 0 && produced == consumed && produced == 3 * 28);
    // Giving up and being woken at the same time.
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 50000;
    soon.tv_sec += soon.tv_nsec / 1000000000;
    soon.tv_nsec %= 1000000000;
    pthread_mutex_lock(&lock);
    MUST(pthread_cond_timedwait(&filled, &lock, &soon) == ETIMEDOUT);
    pthread_mutex_unlock(&lock);
}

static volatile int caught, children_ended;
static void on_signal(int signal) { (void)signal, caught++; }
static void on_child(int signal) { (void)signal, children_ended++; }

// Each signal is answered; none is lost in a wait that begins when it comes.
static void signals(void) {
    signal(SIGUSR1, on_signal);
    signal(SIGCHLD, on_child);
    sigset_t block, old;
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    sigaddset(&block, SIGCHLD);
    sigprocmask(SIG_BLOCK, &block, &old);
    pid_t parent = getpid(), child = fork();
    if (!child) {
        for (int i = 0; i < 10; i++) {
            while (caught <= i)
                sigsuspend(&old);
            MUST(!kill(parent, SIGUSR1));
        }
        _exit(0);
    }
    for (int i = 0; i < 10; i++) {
        MUST(!kill(child, SIGUSR1));
        while (caught <= i)
            sigsuspend(&old);
    }
    while (!children_ended)
        sigsuspend(&old);
    sigprocmask(SIG_SETMASK, &old, 0);
    join(1);
    // An interrupted read loses nothing.
    int p[2];
    MUST(!pipe(p));
    parent = getpid();
    struct sigaction plain = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &plain, 0);
    if (!fork()) {
        for (int i = 0; i < 5; i++) {
            kill(parent, SIGUSR1);
            nap(40);
            MUST(write(p[1], "x", 1) == 1);
        }
        _exit(0);
    }
    int got = 0;
    while (got < 5) {
        char c;
        ssize_t n = read(p[0], &c, 1);
        MUST(n == 1 || (n < 0 && errno == EINTR));
        got += n == 1;
    }
    join(1);
    // Stopped and continued.
    child = fork();
    if (!child) {
        raise(SIGSTOP);
        _exit(0);
    }
    int status;
    MUST(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    MUST(!kill(child, SIGCONT));
    MUST(waitpid(child, &status, 0) == child && WIFEXITED(status));
}

static void timers(void) {
    int timer = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec every = {{0, 300000}, {0, 100000}};
    MUST(!timerfd_settime(timer, 0, &every, 0));
    uint64_t total = 0, n;
    while (total < 10) {
        struct pollfd p = {timer, POLLIN, 0};
        MUST(poll(&p, 1, 1000) == 1);
        MUST(read(timer, &n, 8) == 8);
        total += n;
    }
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    nap(5000);
    clock_gettime(CLOCK_MONOTONIC, &after);
    MUST((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec >= 5000000);
    timer_t posix;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
    sigset_t wanted;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &wanted, 0);
    MUST(!timer_create(CLOCK_MONOTONIC, &event, &posix));
    struct itimerspec thrice = {{0, 200000}, {0, 200000}};
    MUST(!timer_settime(posix, 0, &thrice, 0));
    for (int i = 0; i < 3; i++)
        MUST(sigwaitinfo(&wanted, 0) == SIGRTMIN);
    MUST(!timer_delete(posix));
}

// A counter in a file, changed under a lock by several processes; names that come and go.
static void files(void) {
    int fd = open("counter", O_CREAT | O_RDWR, 0600);
    int zero = 0;
    MUST(fd >= 0 && pwrite(fd, &zero, 4, 0) == 4);
    for (int c = 0; c < 3; c++)
        if (!fork()) {
            int own = open("counter", O_RDWR);
            char name[20], other[20];
            for (int i = 0; i < 6; i++) {
                int value;
                MUST(!flock(own, LOCK_EX));
                MUST(pread(own, &value, 4, 0) == 4);
                value++;
                nap(10);
                MUST(pwrite(own, &value, 4, 0) == 4);
                MUST(!flock(own, LOCK_UN));
                sprintf(name, "f%d.%d", c, i), sprintf(other, "g%d.%d", c, i);
                int f = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
                MUST(f >= 0 && write(f, name, 5) == 5 && !close(f));
                MUST(!rename(name, other) && access(name, F_OK) && !unlink(other));
            }
            _exit(0);
        }
    join(3);
    int value;
    MUST(pread(fd, &value, 4, 0) == 4 && value == 18);
    char *map = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    MUST(map != MAP_FAILED && *(int *)map == 18);
    if (!fork()) {
        *(int *)map = 19;
        _exit(0);
    }
    join(1);
    MUST(pread(fd, &value, 4, 0) == 4 && value == 19);
}

// A server of many clients by epoll; what is sent comes back.
static void sockets(void) {
    struct sockaddr_un name = {AF_UNIX, "server"};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    MUST(!bind(listener, (void *)&name, sizeof name) && !listen(listener, 1));
    for (int c = 0; c < 4; c++)
        if (!fork()) {
            int s = socket(AF_UNIX, SOCK_STREAM, 0);
            MUST(!connect(s, (void *)&name, sizeof name));
            for (int i = 0; i < 4; i++) {
                char out[40], in[40];
                int len = sprintf(out, "client %d says %d", c, i);
                MUST(send(s, out, len, 0) == len);
                MUST(recv(s, in, len, MSG_WAITALL) == len && !memcmp(in, out, len));
            }
            _exit(0);
        }
    int epoll = epoll_create1(0), stop = eventfd(0, 0), closed = 0;
    struct epoll_event event = {EPOLLIN, {.fd = listener}};
    MUST(!epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event));
    event.data.fd = stop;
    MUST(!epoll_ctl(epoll, EPOLL_CTL_ADD, stop, &event));
    while (closed <= 4) {
        struct epoll_event events[3];
        int n = epoll_wait(epoll, events, 3, 2000);
        MUST(n > 0);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            char data[100];
            if (fd == listener) {
                int s = accept4(listener, 0, 0, SOCK_NONBLOCK);
                MUST(s >= 0 || errno == EAGAIN);
                event = (struct epoll_event){EPOLLIN | EPOLLET, {.fd = s}};
                MUST(s < 0 || !epoll_ctl(epoll, EPOLL_CTL_ADD, s, &event));
            } else if (fd == stop) {
                closed++;
                epoll_ctl(epoll, EPOLL_CTL_DEL, stop, 0);
            } else {
                ssize_t got;
                while ((got = recv(fd, data, sizeof data, 0)) > 0)
                    MUST(send(fd, data, got, 0) == got);
                if (got == 0 || errno == ECONNRESET) {
                    close(fd);
                    if (++closed == 4)
                        MUST(write(stop, &(uint64_t){1}, 8) == 8);
                } else
                    MUST(errno == EAGAIN);
            }
        }
    }
    join(4);
}

// Families that grow and end, some before their parents.
static void processes(void) {
    for (int i = 0; i < 4; i++) {
        pid_t child = fork();
        if (!child) {
            if (!fork()) {
                nap(100);
                _exit(0);
            }
            if (i % 2)
                wait(0);
            execl("/proc/self/exe", "storms", "exit", (char *)0);
            _exit(2);
        }
    }
    int status;
    for (int i = 0; i < 4; i++) {
        MUST(wait(&status) > 0);
        MUST(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    }
    pid_t victim = fork();
    if (!victim)
        for (;;)
            pause();
    MUST(!kill(victim, SIGKILL));
    MUST(waitpid(victim, &status, 0) == victim && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "exit"))
        return 7;
    static const struct {
        const char *name;
        void (*run)(void);
    } storms[] = {{"pipes", pipes},     {"futexes", futexes}, {"signals", signals},    {"timers", timers},
                  {"files", files},     {"sockets", sockets}, {"processes", processes}};
    int n = sizeof storms / sizeof *storms;
    for (int i = 0; i < n; i++)
        if (!fork()) {
            storm = storms[i].name;
            storms[i].run();
            _exit(0);
        }
    storm = "main";
    join(n);
    return 0;
}
