// eventfd, signalfd, timerfd: values, modes, errors, readiness, sharing.
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

static int readable(int fd) {
    struct pollfd one = {fd, POLLIN | POLLOUT, 0};
    poll(&one, 1, 0);
    return one.revents;
}

static void *add_later(void *arg) {
    sleep_ms(30);
    eventfd_write((int)(long)arg, 5);
    return NULL;
}

static void *take_later(void *arg) {
    uint64_t value;
    sleep_ms(30);
    read((int)(long)arg, &value, 8);
    return NULL;
}

static void events(void) {
    uint64_t value = 0, buf[2] = {3, 4};
    SHOW(eventfd(0, 0x1000));
    SHOW(syscall(SYS_eventfd2, 1u << 31, EFD_NONBLOCK) >= 0);
    int fd = eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC);
    SHOW(fcntl(fd, F_GETFD));
    SHOW(fcntl(fd, F_GETFL));
    SHOW(readable(fd));
    SHOW(read(fd, &value, 7));
    SHOW(read(fd, buf, 16));
    SHOW(buf[0]);
    SHOW(read(fd, &value, 8));
    SHOW(readable(fd));
    value = 7;
    SHOW(write(fd, &value, 7));
    SHOW(write(fd, &value, 16));
    value = UINT64_MAX;
    SHOW(write(fd, &value, 8));
    value = UINT64_MAX - 1;
    SHOW(write(fd, &value, 8));
    SHOW(readable(fd));
    value = 1;
    SHOW(write(fd, &value, 8));
    SHOW(read(fd, wild, 8));
    // Whether that took the value is not said anywhere.
    read(fd, &value, 8);
    SHOW(write(fd, wild, 8));
    SHOW(lseek(fd, 0, SEEK_SET));
    SHOW(pread(fd, &value, 8, 0));
    SHOW(ftruncate(fd, 0));
    // A buffer that lies across a page that is not there yet is no half result.
    char *pages = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    eventfd_write(fd, 0x1122334455667788);
    SHOW(read(fd, pages + 4096 - 3, 8));
    memcpy(&value, pages + 4096 - 3, 8);
    CHECK(value == 0x1122334455667788);
    munmap(pages + 8192, 4096);
    eventfd_write(fd, 9);
    SHOW(read(fd, pages + 8192 - 3, 8));
    read(fd, &value, 8);
    SHOW(readable(fd));
    close(fd);
    fd = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
    SHOW(read(fd, &value, 8));
    SHOW(value);
    SHOW(readable(fd));
    SHOW(read(fd, &value, 8));
    SHOW(read(fd, &value, 8));
    close(fd);
    fd = eventfd(0, 0);
    pthread_t thread;
    pthread_create(&thread, NULL, add_later, (void *)(long)fd);
    SHOW(read(fd, &value, 8));
    SHOW(value);
    pthread_join(thread, NULL);
    value = UINT64_MAX - 1;
    write(fd, &value, 8);
    pthread_create(&thread, NULL, take_later, (void *)(long)fd);
    value = 2;
    SHOW(write(fd, &value, 8));
    pthread_join(thread, NULL);
    SHOW(read(fd, &value, 8));
    SHOW(value);
    fflush(stdout);
    eventfd_write(fd, 11);
    if (!fork()) {
        eventfd_t seen;
        eventfd_read(fd, &seen);
        _exit((int)seen);
    }
    int status;
    wait(&status);
    show_status("read by a child", status);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    SHOW(read(fd, &value, 8));
    close(fd);
}

static void show_signal(const struct signalfd_siginfo *info, pid_t self) {
    printf("signal %u code %d errno %d self %d uid %u int %d overrun %u status %d\n", info->ssi_signo,
           info->ssi_code, info->ssi_errno, info->ssi_pid == (unsigned)self, info->ssi_uid,
           info->ssi_int, info->ssi_overrun, info->ssi_status);
}

static void signals(void) {
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigaddset(&mask, SIGUSR2);
    sigaddset(&mask, SIGRTMIN + 3);
    sigaddset(&mask, SIGCHLD);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    SHOW(signalfd(-1, &mask, 0x77));
    SHOW(syscall(SYS_signalfd4, -1, &mask, 4, 0));
    SHOW(syscall(SYS_signalfd4, -1, wild, 8, 0));
    SHOW(signalfd(99, &mask, 0));
    SHOW(signalfd(1, &mask, 0));
    int fd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
    SHOW(fcntl(fd, F_GETFD));
    SHOW(fcntl(fd, F_GETFL));
    struct signalfd_siginfo info[4];
    SHOW(read(fd, info, sizeof info));
    SHOW(readable(fd));
    kill(getpid(), SIGUSR2);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR1);
    union sigval value = {.sival_int = 33};
    sigqueue(getpid(), SIGRTMIN + 3, value);
    value.sival_int = 34;
    sigqueue(getpid(), SIGRTMIN + 3, value);
    SHOW(readable(fd));
    SHOW(read(fd, info, sizeof info[0] - 1));
    SHOW(read(fd, info, 2 * sizeof info[0] + 5));
    show_signal(&info[0], getpid());
    show_signal(&info[1], getpid());
    SHOW(read(fd, info, sizeof info));
    show_signal(&info[0], getpid());
    show_signal(&info[1], getpid());
    SHOW(read(fd, info, sizeof info));
    pthread_kill(pthread_self(), SIGUSR1);
    SHOW(read(fd, info, sizeof info));
    printf("code %d\n", info[0].ssi_code);
    fflush(stdout);
    pid_t child = fork();
    if (!child) _exit(9);
    while (read(fd, info, sizeof info) < 0) sleep_ms(1);
    printf("signal %u code %d status %d child %d\n", info[0].ssi_signo, info[0].ssi_code,
           info[0].ssi_status, info[0].ssi_pid == (unsigned)child);
    waitpid(child, NULL, 0);
    // The set can be changed; a signal that is not in it stays pending.
    sigset_t less;
    sigemptyset(&less);
    sigaddset(&less, SIGUSR2);
    SHOW(signalfd(fd, &less, 0) == fd);
    kill(getpid(), SIGUSR1);
    SHOW(readable(fd));
    SHOW(signalfd(fd, &mask, 0) == fd);
    SHOW(readable(fd));
    SHOW(read(fd, wild, sizeof info[0]));
    read(fd, info, sizeof info);
    // Pages that are not there yet.
    char *pages = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    kill(getpid(), SIGUSR2);
    kill(getpid(), SIGUSR1);
    SHOW(read(fd, pages + 4096 - 200, sizeof info));
    memcpy(info, pages + 4096 - 200, 2 * sizeof info[0]);
    printf("signals %u %u\n", info[0].ssi_signo, info[1].ssi_signo);
    SHOW(read(fd, info, sizeof info));
    // One that is asked for by two comes once.
    SHOW(write(fd, info, sizeof info));
    int other = signalfd(-1, &mask, SFD_NONBLOCK);
    kill(getpid(), SIGUSR1);
    SHOW(read(other, info, sizeof info));
    SHOW(read(fd, info, sizeof info));
    // The reader's signals count, not those of who made it.
    child = fork();
    if (!child) {
        kill(getpid(), SIGUSR2);
        _exit(read(fd, info, sizeof info) == sizeof info[0] ? (int)info[0].ssi_signo : 1);
    }
    int status;
    waitpid(child, &status, 0);
    show_status("child read its own", status);
    while (read(fd, info, sizeof info) > 0) {}
    // A blocking read.
    int blocking = signalfd(-1, &mask, 0);
    pid_t parent = getpid();
    child = fork();
    if (!child) {
        sleep_ms(30);
        kill(parent, SIGUSR2);
        sleep_ms(3000);
        _exit(0);
    }
    SHOW(read(blocking, info, sizeof info));
    printf("signal %u\n", info[0].ssi_signo);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    sigset_t kills;
    sigemptyset(&kills);
    sigaddset(&kills, SIGKILL);
    sigaddset(&kills, SIGSTOP);
    SHOW(signalfd(-1, &kills, 0) > 0);
    close(fd);
    close(other);
    close(blocking);
    while (sigtimedwait(&mask, NULL, &(struct timespec){0, 0}) > 0) {}
    sigprocmask(SIG_UNBLOCK, &mask, NULL);
}

static struct itimerspec setting(long value_ms, long interval_ms) {
    struct itimerspec it = {{interval_ms / 1000, interval_ms % 1000 * 1000000},
                            {value_ms / 1000, value_ms % 1000 * 1000000}};
    return it;
}

static void timers(void) {
    uint64_t count;
    SHOW(timerfd_create(77, 0));
    SHOW(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0));
    SHOW(timerfd_create(CLOCK_MONOTONIC, 0x100));
    SHOW(timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK) >= 0);
    SHOW(timerfd_create(CLOCK_REALTIME_ALARM, TFD_NONBLOCK) >= 0);
    SHOW(timerfd_create(CLOCK_MONOTONIC_RAW, 0));
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    SHOW(fcntl(fd, F_GETFD));
    SHOW(fcntl(fd, F_GETFL));
    struct itimerspec now, old, it = setting(0, 0);
    SHOW(timerfd_gettime(fd, &now));
    printf("%ld %ld\n", (long)now.it_value.tv_sec, now.it_value.tv_nsec);
    SHOW(read(fd, &count, 8));
    SHOW(read(fd, &count, 4));
    SHOW(timerfd_gettime(1, &now));
    SHOW(timerfd_gettime(99, &now));
    SHOW(syscall(SYS_timerfd_gettime, fd, wild));
    SHOW(timerfd_settime(1, 0, &it, NULL));
    SHOW(timerfd_settime(fd, 8, &it, NULL));
    SHOW(syscall(SYS_timerfd_settime, fd, 0, NULL, NULL));
    SHOW(syscall(SYS_timerfd_settime, fd, 0, wild, NULL));
    it.it_value.tv_nsec = 1000000000;
    SHOW(timerfd_settime(fd, 0, &it, NULL));
    it.it_value.tv_nsec = -1;
    SHOW(timerfd_settime(fd, 0, &it, NULL));
    it = setting(100000, 50000);
    SHOW(timerfd_settime(fd, 0, &it, &old));
    printf("%ld %ld\n", (long)old.it_value.tv_sec, (long)old.it_interval.tv_sec);
    SHOW(timerfd_gettime(fd, &now));
    printf("%ld %ld.%ld\n", (long)now.it_value.tv_sec, (long)now.it_interval.tv_sec, now.it_interval.tv_nsec);
    SHOW(readable(fd));
    it = setting(0, 50);
    SHOW(timerfd_settime(fd, 0, &it, &old));
    printf("%ld %ld\n", (long)old.it_value.tv_sec, (long)old.it_interval.tv_sec);
    SHOW(timerfd_gettime(fd, &now));
    printf("%ld.%ld %ld.%ld\n", (long)now.it_value.tv_sec, now.it_value.tv_nsec, (long)now.it_interval.tv_sec, now.it_interval.tv_nsec);
    it = setting(10, 0);
    SHOW(timerfd_settime(fd, 0, &it, NULL));
    sleep_ms(40);
    SHOW(readable(fd));
    SHOW(timerfd_gettime(fd, &now));
    printf("%ld %ld\n", (long)now.it_value.tv_sec, now.it_value.tv_nsec);
    SHOW(read(fd, wild, 8));
    read(fd, &count, 8);
    it = setting(10, 0);
    timerfd_settime(fd, 0, &it, NULL);
    sleep_ms(40);
    SHOW(read(fd, &count, 8));
    SHOW(count);
    SHOW(read(fd, &count, 8));
    it = setting(10, 10);
    timerfd_settime(fd, 0, &it, NULL);
    sleep_ms(100);
    SHOW(read(fd, &count, 8));
    CHECK(count >= 9);
    // Setting it again forgets what has passed.
    sleep_ms(30);
    it = setting(5000, 0);
    timerfd_settime(fd, 0, &it, NULL);
    SHOW(readable(fd));
    SHOW(read(fd, &count, 8));
    // Absolute: in the past is now.
    it = setting(1, 0);
    SHOW(timerfd_settime(fd, TFD_TIMER_ABSTIME, &it, NULL));
    sleep_ms(5);
    SHOW(readable(fd));
    SHOW(read(fd, &count, 8));
    SHOW(count);
    int wall = timerfd_create(CLOCK_REALTIME, 0);
    struct timespec start, end;
    clock_gettime(CLOCK_REALTIME, &start);
    it.it_value = start;
    it.it_value.tv_nsec += 40000000;
    if (it.it_value.tv_nsec >= 1000000000) {
        it.it_value.tv_sec++;
        it.it_value.tv_nsec -= 1000000000;
    }
    SHOW(timerfd_settime(wall, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &it, NULL));
    SHOW(read(wall, &count, 8));
    SHOW(count);
    clock_gettime(CLOCK_REALTIME, &end);
    CHECK((end.tv_sec - start.tv_sec) * 1000000000 + end.tv_nsec - start.tv_nsec >= 40000000);
    SHOW(write(wall, &count, 8));
    it = setting(20, 0);
    timerfd_settime(wall, 0, &it, NULL);
    SHOW(read(wall, &count, 8));
    SHOW(timerfd_settime(fd, TFD_TIMER_CANCEL_ON_SET, &it, NULL));
    close(fd);
    close(wall);
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    events();
    signals();
    timers();
    return 0;
}
