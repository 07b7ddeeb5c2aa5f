// User and system time: told apart, adding up, never falling, the same wherever they are shown.
#include "check.h"
#include <sys/resource.h>
#include <sys/times.h>
#include <time.h>

static void must(int good) {
    if (good) return;
    printf("failed, errno %d\n", errno);
    exit(1);
}

static double seconds(struct timeval t) {
    return t.tv_sec + t.tv_usec / 1e6;
}

static struct rusage usage(int who) {
    struct rusage u;
    must(!getrusage(who, &u));
    return u;
}

static double used(void) {
    struct rusage u = usage(RUSAGE_SELF);
    return seconds(u.ru_utime) + seconds(u.ru_stime);
}

static volatile unsigned long sink;

static void compute(double time) {
    double end = used() + time;
    do {
        for (unsigned long i = 0; i < 3000000; i++) sink += i * i;
    } while (used() < end);
}

static void call(double time) {
    static char buffer[1 << 16];
    int fd = open("/dev/zero", O_RDONLY);
    double end = used() + time;
    do {
        for (int i = 0; i < 20; i++) must(read(fd, buffer, sizeof buffer) == sizeof buffer);
    } while (used() < end);
    close(fd);
}

static void share(const char *what, struct rusage before, struct rusage after) {
    double user = seconds(after.ru_utime) - seconds(before.ru_utime);
    double system = seconds(after.ru_stime) - seconds(before.ru_stime);
    double part = user / (user + system);
    printf("%s: %s\n", what, part > 0.8 ? "user" : part < 0.4 ? "system" : "both");
    if (part <= 0.8 && part >= 0.4) fprintf(stderr, "%s: user %f system %f\n", what, user, system);
}

// Fields 14 and 15 of a line of /proc/PID/stat, or the first four of the cpu line of /proc/stat.
static double shown(const char *path, int self) {
    char text[1000] = "";
    long user = 0, nice = 0, system = 0;
    FILE *file = fopen(path, "r");
    must(file && fgets(text, sizeof text, file));
    fclose(file);
    if (self)
        must(sscanf(strrchr(text, ')'), ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user, &system) == 2);
    else
        must(sscanf(text, "cpu %ld %ld %ld", &user, &nice, &system) == 3);
    return (user + nice + system) / 100.0;
}

static void parts(void) {
    struct rusage before = usage(RUSAGE_SELF);
    double machine = shown("/proc/stat", 0);
    compute(0.4);
    struct rusage between = usage(RUSAGE_SELF);
    share("computing", before, between);
    printf("the machine counts it: %d\n", shown("/proc/stat", 0) - machine > 0.35);
    call(0.4);
    share("calling", between, usage(RUSAGE_SELF));
}

static void agreement(void) {
    struct timespec now;
    struct tms tms;
    double sum = used();
    must(!clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now));
    double clock = now.tv_sec + now.tv_nsec / 1e9;
    printf("the clock agrees: %d\n", clock - sum > -0.02 && clock - sum < 0.05);
    must(times(&tms) != -1);
    double ticks = (tms.tms_utime + tms.tms_stime) / 100.0;
    printf("times agrees: %d\n", ticks - sum > -0.05 && ticks - sum < 0.05);
    double stat = shown("/proc/self/stat", 1);
    printf("stat agrees: %d\n", stat - sum > -0.05 && stat - sum < 0.05);
}

static void monotony(void) {
    struct rusage last = usage(RUSAGE_SELF);
    int falls = 0;
    for (double end = used() + 0.1; used() < end;) {
        for (unsigned long i = 0; i < 10000; i++) sink += i;
        struct rusage now = usage(RUSAGE_SELF);
        falls += seconds(now.ru_utime) < seconds(last.ru_utime) || seconds(now.ru_stime) < seconds(last.ru_stime);
        last = now;
    }
    printf("falls: %d\n", falls);
}

static void children(void) {
    struct rusage before = usage(RUSAGE_CHILDREN), own;
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        compute(0.3);
        _exit(0);
    }
    must(wait4(child, NULL, 0, &own) == child);
    struct rusage zero, after = usage(RUSAGE_CHILDREN);
    memset(&zero, 0, sizeof zero);
    share("a child", zero, own);
    double total = seconds(own.ru_utime) + seconds(own.ru_stime);
    double added = seconds(after.ru_utime) + seconds(after.ru_stime) - seconds(before.ru_utime) - seconds(before.ru_stime);
    printf("of the child: %d, of children: %d\n", total > 0.29 && total < 0.5, added - total < 0.01 && total - added < 0.01);
}

int main(void) {
    parts();
    agreement();
    monotony();
    children();
    return 0;
}
