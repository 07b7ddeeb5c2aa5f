// POSIX timers, interval timers, alarm: signals and their contents, overruns, settings, CPU clocks.
#include "check.h"
#include <pthread.h>
#include <sys/time.h>

struct ksigevent {
    union sigval value;
    int signo, notify, tid, pad[11];
};

static int create(int clock, int notify, int signo, int value, int tid, int *id) {
    struct ksigevent event = {.signo = signo, .notify = notify, .tid = tid};
    event.value.sival_int = value;
    return syscall(SYS_timer_create, clock, &event, id);
}

static int set(int id, int flags, long value_us, long interval_us, struct itimerspec *old) {
    struct itimerspec it = {{interval_us / 1000000, interval_us % 1000000 * 1000},
                            {value_us / 1000000, value_us % 1000000 * 1000}};
    return syscall(SYS_timer_settime, id, flags, &it, old);
}

static void show_setting(const char *what, const struct itimerspec *it) {
    printf("%s: value %s interval %ld.%09ld\n", what,
           it->it_value.tv_sec == 0 && it->it_value.tv_nsec == 0 ? "off" : "on",
           (long)it->it_interval.tv_sec, it->it_interval.tv_nsec);
}

static volatile int count, code, value, on_thread;

static void on_info(int signal, siginfo_t *info, void *context) {
    (void)signal;
    (void)context;
    code = info->si_code;
    value = info->si_value.sival_int;
    on_thread = syscall(SYS_gettid);
    // Last: another thread may be waiting for it.
    count++;
}

static void handle(int signal) {
    struct sigaction action = {.sa_sigaction = on_info, .sa_flags = SA_SIGINFO};
    sigaction(signal, &action, NULL);
}

static void errors(void) {
    int id = -5;
    struct itimerspec it = {{0, 0}, {5, 0}}, old;
    SHOW(create(99, SIGEV_SIGNAL, SIGUSR1, 0, 0, &id));
    SHOW(create(CLOCK_MONOTONIC, 77, SIGUSR1, 0, 0, &id));
    SHOW(create(CLOCK_MONOTONIC, SIGEV_SIGNAL, 0, 0, 0, &id));
    SHOW(create(CLOCK_MONOTONIC, SIGEV_SIGNAL, 65, 0, 0, &id));
    SHOW(create(CLOCK_MONOTONIC, SIGEV_NONE, 99, 0, 0, &id));
    SHOW(syscall(SYS_timer_delete, id));
    SHOW(create(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGUSR1, 0, 1, &id));
    SHOW(create(CLOCK_MONOTONIC, SIGEV_THREAD_ID | SIGEV_NONE, SIGUSR1, 0, getpid(), &id));
    SHOW(create(CLOCK_MONOTONIC_COARSE, SIGEV_SIGNAL, SIGUSR1, 0, 0, &id));
    SHOW(create(CLOCK_MONOTONIC_RAW, SIGEV_SIGNAL, SIGUSR1, 0, 0, &id));
    SHOW(create(CLOCK_BOOTTIME, SIGEV_SIGNAL, SIGUSR1, 0, 0, &id));
    SHOW(syscall(SYS_timer_delete, id));
    SHOW(create(CLOCK_TAI, SIGEV_SIGNAL, SIGUSR1, 0, 0, &id));
    SHOW(syscall(SYS_timer_delete, id));
    SHOW(syscall(SYS_timer_create, CLOCK_MONOTONIC, wild, &id));
    SHOW(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, wild));
    SHOW(syscall(SYS_timer_delete, 99));
    SHOW(syscall(SYS_timer_delete, -1));
    SHOW(syscall(SYS_timer_settime, 99, 0, &it, NULL));
    SHOW(syscall(SYS_timer_gettime, 99, &it));
    SHOW(syscall(SYS_timer_getoverrun, 99));
    SHOW(create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 0, 0, &id));
    SHOW(syscall(SYS_timer_settime, id, 0, NULL, NULL));
    SHOW(syscall(SYS_timer_settime, id, 0, wild, NULL));
    SHOW(syscall(SYS_timer_gettime, id, wild));
    it.it_value.tv_nsec = 1000000000;
    SHOW(syscall(SYS_timer_settime, id, 0, &it, NULL));
    it.it_value.tv_nsec = -1;
    SHOW(syscall(SYS_timer_settime, id, 0, &it, NULL));
    it.it_value.tv_nsec = 0;
    it.it_interval.tv_sec = -1;
    SHOW(syscall(SYS_timer_settime, id, 0, &it, NULL));
    SHOW(syscall(SYS_timer_gettime, id, &old));
    show_setting("never set", &old);
    SHOW(set(id, 0, 5000000, 250000, NULL));
    SHOW(set(id, 0, 0, 100000, &old));
    show_setting("set", &old);
    CHECK(old.it_value.tv_sec == 4);
    SHOW(syscall(SYS_timer_gettime, id, &old));
    show_setting("cleared", &old);
    SHOW(syscall(SYS_timer_getoverrun, id));
    SHOW(syscall(SYS_timer_delete, id));
    SHOW(syscall(SYS_timer_delete, id));
}

static void signals(void) {
    int id;
    struct itimerspec now;
    handle(SIGUSR1);
    handle(SIGALRM);
    handle(SIGRTMIN);
    create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 77, 0, &id);
    SHOW(set(id, 0, 20000, 0, NULL));
    while (!count) pause();
    printf("count %d code %d value %d\n", count, code, value);
    SHOW(syscall(SYS_timer_gettime, id, &now));
    show_setting("expired", &now);
    SHOW(syscall(SYS_timer_getoverrun, id));
    // In the past: at once.
    count = 0;
    SHOW(set(id, TIMER_ABSTIME, 1, 0, NULL));
    while (!count) sleep_ms(1);
    SHOW(count);
    // Periodic and blocked: one signal stands for all.
    sigset_t block;
    sigemptyset(&block);
    sigaddset(&block, SIGRTMIN);
    sigaddset(&block, SIGUSR1);
    sigaddset(&block, SIGALRM);
    sigprocmask(SIG_BLOCK, &block, NULL);
    set(id, 0, 10000, 10000, NULL);
    sleep_ms(105);
    siginfo_t info;
    SHOW(sigwaitinfo(&block, &info) == SIGRTMIN);
    CHECK(info.si_overrun >= 8);
    CHECK(info.si_overrun == syscall(SYS_timer_getoverrun, id));
    printf("code %d value %d\n", info.si_code, info.si_value.sival_int);
    SHOW(sigwaitinfo(&block, &info) == SIGRTMIN);
    SHOW(syscall(SYS_timer_gettime, id, &now));
    show_setting("periodic", &now);
    // A timer that is removed takes its pending signal along.
    sleep_ms(25);
    SHOW(syscall(SYS_timer_delete, id));
    struct timespec zero = {0, 0};
    while (sigtimedwait(&block, &info, &zero) > 0) {}
    sleep_ms(25);
    SHOW(sigtimedwait(&block, &info, &zero));
    // Without an event: SIGALRM with the timer's number.
    SHOW(syscall(SYS_timer_create, CLOCK_REALTIME, NULL, &id));
    set(id, 0, 1000, 0, NULL);
    CHECK(sigwaitinfo(&block, &info) == SIGALRM);
    CHECK(info.si_code == SI_TIMER && info.si_value.sival_int == id && info.si_timerid == id);
    SHOW(syscall(SYS_timer_delete, id));
    // No notice: only the setting changes.
    create(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, 0, &id);
    set(id, 0, 5000, 0, NULL);
    sleep_ms(15);
    SHOW(syscall(SYS_timer_gettime, id, &now));
    show_setting("silent, expired", &now);
    set(id, 0, 5000, 5000000, NULL);
    sleep_ms(15);
    SHOW(syscall(SYS_timer_gettime, id, &now));
    show_setting("silent, periodic", &now);
    CHECK(now.it_value.tv_sec == 4);
    SHOW(syscall(SYS_timer_delete, id));
    // Two timers with one signal: each its own.
    int other;
    create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 1, 0, &id);
    create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 2, 0, &other);
    set(id, 0, 1000, 0, NULL);
    sleep_ms(5);
    set(other, 0, 1000, 0, NULL);
    sleep_ms(10);
    int first = sigtimedwait(&block, &info, &zero);
    printf("%d value %d\n", first, first > 0 ? info.si_value.sival_int : 0);
    int second = sigtimedwait(&block, &info, &zero);
    printf("%d value %d\n", second > 0, second > 0 ? info.si_value.sival_int : 0);
    SHOW(syscall(SYS_timer_delete, id));
    SHOW(syscall(SYS_timer_delete, other));
    sigprocmask(SIG_UNBLOCK, &block, NULL);
}

static volatile int ready, stop;

static void *target(void *arg) {
    *(volatile int *)arg = syscall(SYS_gettid);
    ready = 1;
    struct timespec tick = {0, 5000000};
    while (!stop) nanosleep(&tick, NULL);
    return NULL;
}

static void threads(void) {
    int id;
    volatile int tid = 0;
    pthread_t thread;
    pthread_create(&thread, NULL, target, (void *)&tid);
    while (!ready) sleep_ms(1);
    SHOW(create(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGUSR1, 5, tid, &id));
    count = 0;
    set(id, 0, 2000, 0, NULL);
    while (!count) sleep_ms(1);
    CHECK(on_thread == tid);
    // Children have no timers; a new program neither.
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        struct itimerspec now;
        long result = syscall(SYS_timer_gettime, id, &now);
        _exit(result == -1 ? errno : 0);
    }
    int status;
    waitpid(child, &status, 0);
    show_status("timer_gettime in a child", status);
    stop = 1;
    pthread_join(thread, NULL);
    // The thread is gone: the signal goes nowhere.
    count = 0;
    SHOW(set(id, 0, 1000, 0, NULL));
    sleep_ms(10);
    SHOW(count);
    SHOW(syscall(SYS_timer_delete, id));
}

static void burn_ms(long ms) {
    struct timespec start, now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    do clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < ms);
}

static void show_itimer(const char *what, const struct itimerval *it) {
    printf("%s: value %s interval %ld.%06ld\n", what,
           it->it_value.tv_sec == 0 && it->it_value.tv_usec == 0 ? "off" : "on",
           (long)it->it_interval.tv_sec, (long)it->it_interval.tv_usec);
}

static void intervals(void) {
    struct itimerval it = {{0, 0}, {0, 10000}}, old;
    handle(SIGALRM);
    handle(SIGVTALRM);
    handle(SIGPROF);
    SHOW(setitimer(3, &it, NULL));
    SHOW(getitimer(-1, &old));
    SHOW(syscall(SYS_getitimer, 0, wild));
    SHOW(syscall(SYS_setitimer, 0, wild, NULL));
    it.it_value.tv_usec = 1000000;
    SHOW(setitimer(ITIMER_REAL, &it, NULL));
    it.it_value.tv_usec = -1;
    SHOW(setitimer(ITIMER_REAL, &it, NULL));
    it.it_value.tv_usec = 0;
    it.it_value.tv_sec = -1;
    SHOW(setitimer(ITIMER_REAL, &it, NULL));
    it.it_value.tv_sec = 0;
    it.it_value.tv_usec = 10000;
    count = 0;
    SHOW(setitimer(ITIMER_REAL, &it, &old));
    show_itimer("before", &old);
    while (!count) pause();
    printf("count %d code %d\n", count, code);
    it.it_interval.tv_usec = 5000;
    SHOW(setitimer(ITIMER_REAL, &it, NULL));
    while (count < 5) pause();
    SHOW(getitimer(ITIMER_REAL, &old));
    show_itimer("periodic", &old);
    memset(&it, 0, sizeof it);
    SHOW(setitimer(ITIMER_REAL, &it, &old));
    show_itimer("replaced", &old);
    SHOW(getitimer(ITIMER_REAL, &old));
    show_itimer("cleared", &old);
    SHOW(alarm(100));
    SHOW(alarm(50));
    SHOW(getitimer(ITIMER_REAL, &old));
    CHECK(old.it_value.tv_sec == 49 || old.it_value.tv_sec == 50);
    it.it_value.tv_sec = 20;
    SHOW(setitimer(ITIMER_REAL, &it, NULL));
    fflush(stdout);
    pid_t child = fork();
    if (!child) _exit(alarm(0));
    int status;
    waitpid(child, &status, 0);
    show_status("alarm in a child", status);
    SHOW(alarm(0));
    SHOW(alarm(0));
    SHOW(syscall(SYS_setitimer, ITIMER_REAL, NULL, &old));
    // CPU time: the process's user time, and both.
    memset(&it, 0, sizeof it);
    SHOW(getitimer(ITIMER_VIRTUAL, &old));
    show_itimer("virtual", &old);
    SHOW(getitimer(ITIMER_PROF, &old));
    show_itimer("profiling", &old);
    it.it_value.tv_sec = 100;
    it.it_interval.tv_usec = 40000;
    SHOW(setitimer(ITIMER_PROF, &it, NULL));
    SHOW(getitimer(ITIMER_PROF, &old));
    show_itimer("profiling", &old);
    CHECK(old.it_value.tv_sec == 99 || old.it_value.tv_sec == 100);
    count = 0;
    it.it_value.tv_sec = 0;
    it.it_value.tv_usec = 20000;
    SHOW(setitimer(ITIMER_PROF, &it, NULL));
    sleep_ms(40);
    SHOW(count);
    burn_ms(120);
    CHECK(count >= 1 && count <= 4);
    memset(&it, 0, sizeof it);
    SHOW(setitimer(ITIMER_PROF, &it, &old));
    show_itimer("was", &old);
    count = 0;
    it.it_value.tv_usec = 10000;
    SHOW(setitimer(ITIMER_VIRTUAL, &it, NULL));
    for (volatile long i = 0; !count; i++) {}
    printf("count %d code %d\n", count, code);
    SHOW(getitimer(ITIMER_VIRTUAL, &old));
    show_itimer("virtual", &old);
    // Without a handler it ends the process.
    child = fork();
    if (!child) {
        signal(SIGVTALRM, SIG_DFL);
        setitimer(ITIMER_VIRTUAL, &it, NULL);
        for (;;) {}
    }
    waitpid(child, &status, 0);
    show_status("virtual time is over", status);
}

static void cpu_clocks(void) {
    int id;
    struct itimerspec now;
    struct timespec start, end;
    handle(SIGUSR1);
    SHOW(create(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGUSR1, 6, 0, &id));
    SHOW(syscall(SYS_timer_gettime, id, &now));
    show_setting("process clock", &now);
    count = 0;
    SHOW(set(id, 0, 200000, 0, NULL));
    sleep_ms(210);
    SHOW(count);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    while (!count) {}
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    CHECK((end.tv_sec - start.tv_sec) * 1000000000 + end.tv_nsec - start.tv_nsec >= 10000000);
    printf("code %d value %d\n", code, value);
    SHOW(syscall(SYS_timer_gettime, id, &now));
    show_setting("process clock, expired", &now);
    SHOW(set(id, 0, 50000000, 1000000, NULL));
    SHOW(syscall(SYS_timer_gettime, id, &now));
    show_setting("process clock, set", &now);
    CHECK(now.it_value.tv_sec >= 49 && now.it_value.tv_sec <= 50);
    SHOW(syscall(SYS_timer_delete, id));
    SHOW(create(CLOCK_THREAD_CPUTIME_ID, SIGEV_SIGNAL, SIGUSR1, 7, 0, &id));
    count = 0;
    SHOW(set(id, 0, 5000, 5000, NULL));
    while (count < 3) {}
    printf("code %d value %d\n", code, value);
    SHOW(syscall(SYS_timer_delete, id));
    // Absolute: already past.
    SHOW(create(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGUSR1, 8, 0, &id));
    count = 0;
    SHOW(set(id, TIMER_ABSTIME, 1, 0, NULL));
    while (!count) {}
    SHOW(value);
    SHOW(syscall(SYS_timer_delete, id));
    SHOW(create(-10000 * 8 | 2, SIGEV_SIGNAL, SIGUSR1, 8, 0, &id));
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    errors();
    signals();
    threads();
    intervals();
    cpu_clocks();
    return 0;
}
