// Clocks and sleeps: agreement of the clocks, of the vDSO with the call, errors, interrupted sleeps.
#include "check.h"
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/timex.h>

static long long ns(const struct timespec *t) {
    return t->tv_sec * 1000000000LL + t->tv_nsec;
}

static long long now(int clock) {
    struct timespec t;
    syscall(SYS_clock_gettime, clock, &t);
    return ns(&t);
}

static void clocks(void) {
    struct timespec t, res;
    for (int clock = 0; clock < 14; clock++) {
        // These two need a clock that can wake the machine.
        if (clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM) continue;
        long got = syscall(SYS_clock_gettime, clock, &t);
        int error = got ? errno : 0;
        long resolution = syscall(SYS_clock_getres, clock, &res);
        printf("clock %d: %ld errno %d resolution %ld errno %d", clock, got, error, resolution, resolution ? errno : 0);
        // The coarse clocks tick; how fast differs.
        if (!resolution && clock != CLOCK_REALTIME_COARSE && clock != CLOCK_MONOTONIC_COARSE) printf(" %lld", ns(&res));
        printf("\n");
    }
    SHOW(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, wild));
    SHOW(syscall(SYS_clock_getres, CLOCK_MONOTONIC, wild));
    SHOW(syscall(SYS_clock_getres, CLOCK_MONOTONIC, NULL));
    SHOW(syscall(SYS_clock_getres, 99, NULL));
    SHOW(syscall(SYS_clock_gettime, -10000000 * 8 | 2, &t));
    SHOW(syscall(SYS_clock_gettime, ~getpid() * 8 | 2, &t));
    SHOW(syscall(SYS_clock_gettime, ~getpid() * 8 | 6, &t));
    SHOW(syscall(SYS_clock_gettime, -2 * 8 | 6, &t));
    SHOW(syscall(SYS_clock_getres, ~getpid() * 8 | 2, &res));
    SHOW(res.tv_nsec);
    SHOW(syscall(SYS_clock_gettime, -1, &t));
    // Each clock goes on, and those of one kind agree.
    for (int clock = 0; clock < 8; clock++) {
        long long a = now(clock), b = now(clock);
        if (b < a) printf("clock %d went back\n", clock);
    }
    long long tick = 20000000;
    CHECK(llabs(now(CLOCK_REALTIME) - now(CLOCK_REALTIME_COARSE)) < tick);
    CHECK(llabs(now(CLOCK_MONOTONIC) - now(CLOCK_MONOTONIC_COARSE)) < tick);
    CHECK(now(CLOCK_BOOTTIME) + tick >= now(CLOCK_MONOTONIC));
    struct timeval tv;
    long long before = now(CLOCK_REALTIME) / 1000;
    gettimeofday(&tv, NULL);
    long long after = now(CLOCK_REALTIME) / 1000;
    long long day = tv.tv_sec * 1000000LL + tv.tv_usec;
    CHECK(before <= day && day <= after);
    time_t stored = 0, seconds = syscall(SYS_time, &stored);
    CHECK(stored == seconds && llabs(seconds - tv.tv_sec) <= 1);
    SHOW(syscall(SYS_time, wild));
    struct timezone zone = {7, 7};
    SHOW(syscall(SYS_gettimeofday, &tv, &zone));
    printf("zone %d %d\n", zone.tz_minuteswest, zone.tz_dsttime);
    SHOW(syscall(SYS_gettimeofday, wild, NULL));
    SHOW(syscall(SYS_gettimeofday, NULL, NULL));
    SHOW(syscall(SYS_gettimeofday, NULL, wild));
    // The vDSO and the call take turns without going back.
    CHECK(getauxval(AT_SYSINFO_EHDR) != 0);
    for (int clock = 0; clock < 2; clock++) {
        int back = 0;
        long long last = 0;
        for (int i = 0; i < 2000; i++) {
            struct timespec v;
            if (i & 1) clock_gettime(clock, &v);
            else syscall(SYS_clock_gettime, clock, &v);
            if (ns(&v) < last) back++;
            last = ns(&v);
        }
        printf("clock %d by turns: %d back\n", clock, back);
    }
}

static void setting(void) {
    struct timespec t = {0, 0}, bad = {5, 1000000000}, negative = {-1, 0};
    struct timeval bad_tv = {5, 1000000}, old_tv = {-5, 0};
    SHOW(syscall(SYS_clock_settime, CLOCK_MONOTONIC, &t));
    SHOW(syscall(SYS_clock_settime, CLOCK_REALTIME, &bad));
    SHOW(syscall(SYS_clock_settime, CLOCK_REALTIME, &negative));
    SHOW(syscall(SYS_clock_settime, CLOCK_REALTIME, wild));
    SHOW(syscall(SYS_clock_settime, CLOCK_BOOTTIME, &t));
    SHOW(syscall(SYS_clock_settime, CLOCK_PROCESS_CPUTIME_ID, &t));
    SHOW(syscall(SYS_clock_settime, CLOCK_REALTIME_COARSE, &t));
    SHOW(syscall(SYS_clock_settime, 99, &t));
    SHOW(syscall(SYS_settimeofday, &bad_tv, NULL));
    SHOW(syscall(SYS_settimeofday, &old_tv, NULL));
    SHOW(syscall(SYS_settimeofday, wild, NULL));
    SHOW(syscall(SYS_settimeofday, NULL, wild));
    struct timezone zone = {16 * 60, 0};
    SHOW(syscall(SYS_settimeofday, NULL, &zone));
    SHOW(syscall(SYS_settimeofday, NULL, NULL));
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        setuid(1000);
        struct timespec fine = {1800000000, 0};
        struct timeval fine_tv = {1800000000, 0};
        SHOW(syscall(SYS_clock_settime, CLOCK_REALTIME, &fine));
        SHOW(syscall(SYS_clock_settime, CLOCK_REALTIME, &bad));
        SHOW(syscall(SYS_clock_settime, CLOCK_MONOTONIC, &fine));
        SHOW(syscall(SYS_settimeofday, &fine_tv, NULL));
        SHOW(syscall(SYS_settimeofday, &bad_tv, NULL));
        exit(0);
    }
    waitpid(child, NULL, 0);
}

static volatile int handled;

static void on_signal(int signal) {
    handled = signal;
}

static void interrupt_me(long after_ms, int signal) {
    pid_t parent = getpid();
    fflush(stdout);
    if (!fork()) {
        sleep_ms(after_ms);
        kill(parent, signal);
        _exit(0);
    }
}

static void sleeps(void) {
    struct timespec zero = {0, 0}, ms = {0, 20000000}, bad = {0, 1000000000}, negative = {-1, 0}, minus = {0, -1};
    struct timespec left = {77, 77}, at;
    SHOW(syscall(SYS_nanosleep, &zero, &left));
    SHOW(left.tv_sec);
    SHOW(syscall(SYS_nanosleep, &bad, NULL));
    SHOW(syscall(SYS_nanosleep, &negative, NULL));
    SHOW(syscall(SYS_nanosleep, &minus, NULL));
    SHOW(syscall(SYS_nanosleep, wild, NULL));
    SHOW(syscall(SYS_nanosleep, NULL, NULL));
    long long start = now(CLOCK_MONOTONIC);
    SHOW(syscall(SYS_nanosleep, &ms, &left));
    CHECK(now(CLOCK_MONOTONIC) - start >= 20000000);
    SHOW(left.tv_sec);
    for (int clock = 0; clock < 12; clock++) {
        // The process would wait for itself.
        if (clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM) continue;
        struct timespec tiny = {0, 1000};
        long result = syscall(SYS_clock_nanosleep, clock, 0, &tiny, NULL);
        printf("clock_nanosleep on %d: %ld errno %d\n", clock, result, result ? errno : 0);
    }
    SHOW(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &bad, NULL));
    SHOW(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &negative, NULL));
    SHOW(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &zero, NULL));
    SHOW(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, wild, NULL));
    SHOW(syscall(SYS_clock_nanosleep, 99, 0, &ms, NULL));
    SHOW(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 6, &zero, NULL));
    clock_gettime(CLOCK_REALTIME, &at);
    long long target = ns(&at) + 30000000;
    at.tv_sec = target / 1000000000;
    at.tv_nsec = target % 1000000000;
    SHOW(syscall(SYS_clock_nanosleep, CLOCK_REALTIME, TIMER_ABSTIME, &at, NULL));
    CHECK(now(CLOCK_REALTIME) >= target);
    // A handler ends a sleep, with the rest for a relative one only, whatever its flags.
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    struct timespec three = {3, 0};
    interrupt_me(40, SIGUSR1);
    SHOW(syscall(SYS_nanosleep, &three, &left));
    CHECK(left.tv_sec == 2 && left.tv_nsec > 0);
    wait(NULL);
    interrupt_me(40, SIGUSR1);
    SHOW(syscall(SYS_nanosleep, &three, wild));
    wait(NULL);
    interrupt_me(40, SIGUSR1);
    left.tv_sec = 77;
    SHOW(syscall(SYS_clock_nanosleep, CLOCK_BOOTTIME, 0, &three, &left));
    CHECK(left.tv_sec == 2);
    wait(NULL);
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += 3;
    left.tv_sec = 77;
    interrupt_me(40, SIGUSR1);
    SHOW(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &at, &left));
    SHOW(left.tv_sec);
    wait(NULL);
    // An ignored signal does not, nor does a stop: the sleep goes on to its own end.
    signal(SIGUSR2, SIG_IGN);
    struct timespec tenth = {0, 100000000};
    start = now(CLOCK_MONOTONIC);
    interrupt_me(30, SIGUSR2);
    SHOW(syscall(SYS_nanosleep, &tenth, &left));
    CHECK(now(CLOCK_MONOTONIC) - start >= 100000000);
    wait(NULL);
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        struct timespec quarter = {0, 250000000};
        long long from = now(CLOCK_MONOTONIC);
        long result = syscall(SYS_nanosleep, &quarter, &left);
        long long took = now(CLOCK_MONOTONIC) - from;
        _exit(result ? 1 : took < 250000000 ? 2 : took > 2000000000 ? 3 : 0);
    }
    int status;
    sleep_ms(50);
    kill(child, SIGSTOP);
    waitpid(child, &status, WUNTRACED);
    sleep_ms(50);
    kill(child, SIGCONT);
    waitpid(child, &status, 0);
    show_status("stopped while asleep", status);
    SHOW(syscall(SYS_restart_syscall));
}

static void burn_ms(long ms) {
    long long start = now(CLOCK_THREAD_CPUTIME_ID);
    while (now(CLOCK_THREAD_CPUTIME_ID) - start < ms * 1000000) {}
}

static void usage(void) {
    struct rusage self, children;
    struct tms tms;
    SHOW(syscall(SYS_getrusage, 5, &self));
    SHOW(syscall(SYS_getrusage, RUSAGE_SELF, wild));
    SHOW(syscall(SYS_times, wild));
    CHECK(times(NULL) > 0);
    long long cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    burn_ms(60);
    CHECK(now(CLOCK_PROCESS_CPUTIME_ID) - cpu >= 60000000);
    SHOW(getrusage(RUSAGE_SELF, &self));
    long long used = (self.ru_utime.tv_sec + self.ru_stime.tv_sec) * 1000000LL + self.ru_utime.tv_usec + self.ru_stime.tv_usec;
    CHECK(used >= 50000 && used < 10000000);
    CHECK(self.ru_maxrss > 0 && self.ru_minflt > 0);
    SHOW(getrusage(RUSAGE_THREAD, &self));
    used = (self.ru_utime.tv_sec + self.ru_stime.tv_sec) * 1000000LL + self.ru_utime.tv_usec + self.ru_stime.tv_usec;
    CHECK(used >= 50000);
    SHOW(getrusage(RUSAGE_CHILDREN, &children));
    long long before = (children.ru_utime.tv_sec + children.ru_stime.tv_sec) * 1000000LL + children.ru_utime.tv_usec + children.ru_stime.tv_usec;
    fflush(stdout);
    if (!fork()) {
        burn_ms(60);
        _exit(0);
    }
    struct rusage waited;
    int status;
    SHOW(wait4(-1, &status, 0, &waited) > 0);
    long long child = (waited.ru_utime.tv_sec + waited.ru_stime.tv_sec) * 1000000LL + waited.ru_utime.tv_usec + waited.ru_stime.tv_usec;
    CHECK(child >= 50000);
    SHOW(getrusage(RUSAGE_CHILDREN, &children));
    long long after = (children.ru_utime.tv_sec + children.ru_stime.tv_sec) * 1000000LL + children.ru_utime.tv_usec + children.ru_stime.tv_usec;
    CHECK(after - before >= 50000);
    CHECK(times(&tms) > 0);
    CHECK(tms.tms_utime + tms.tms_stime >= 5 && tms.tms_cutime + tms.tms_cstime >= 5);
    // Children that nobody waits for are not counted.
    signal(SIGCHLD, SIG_IGN);
    if (!fork()) {
        burn_ms(60);
        _exit(0);
    }
    SHOW(wait(NULL));
    SHOW(getrusage(RUSAGE_CHILDREN, &children));
    long long last = (children.ru_utime.tv_sec + children.ru_stime.tv_sec) * 1000000LL + children.ru_utime.tv_usec + children.ru_stime.tv_usec;
    CHECK(last == after);
    signal(SIGCHLD, SIG_DFL);
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    clocks();
    setting();
    sleeps();
    usage();
    return 0;
}
