// What /proc tells of the whole system follows what a program does.
#include "check.h"
#include <sys/sysinfo.h>
#include <time.h>

static char text[65536];

static const char *slurp(const char *path) {
    int fd = open(path, O_RDONLY);
    ssize_t length = 0, got;
    if (fd < 0) printf("%s: errno %d\n", path, errno);
    while (fd >= 0 && (got = read(fd, text + length, sizeof text - 1 - length)) > 0) length += got;
    text[length] = 0;
    if (fd >= 0) close(fd);
    return text;
}

// The number after `name` at the start of a line.
static long long number(const char *path, const char *name) {
    for (const char *line = slurp(path); line && *line; line = strchr(line, '\n'), line = line ? line + 1 : line)
        if (!strncmp(line, name, strlen(name))) return atoll(line + strlen(name));
    return -1;
}

static void forks(void) {
    long long made = number("/proc/stat", "processes "), switches = number("/proc/stat", "ctxt ");
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (!child) _exit(0);
        waitpid(child, NULL, 0);
    }
    CHECK(number("/proc/stat", "processes ") - made >= 20);
    CHECK(number("/proc/stat", "ctxt ") - switches >= 20);
    CHECK(number("/proc/stat", "procs_running ") >= 1);
    CHECK(number("/proc/stat", "procs_blocked ") >= 0);
}

static void clocks(void) {
    struct timespec now, up;
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &up);
    long long booted = number("/proc/stat", "btime ") + up.tv_sec - now.tv_sec;
    CHECK(booted >= -2 && booted <= 2);
    double uptime, idle, later;
    CHECK(sscanf(slurp("/proc/uptime"), "%lf %lf", &uptime, &idle) == 2);
    CHECK(uptime >= up.tv_sec && idle >= 0);
    struct timespec nap = {0, 30000000};
    nanosleep(&nap, NULL);
    CHECK(sscanf(slurp("/proc/uptime"), "%lf", &later) == 1 && later >= uptime + 0.02);
    long long interrupts = number("/proc/stat", "intr ");
    CHECK(interrupts > 0);
    CHECK(number("/proc/stat", "intr ") >= interrupts);
}

static void load(void) {
    double average[3];
    int running, threads, last;
    CHECK(sscanf(slurp("/proc/loadavg"), "%lf %lf %lf %d/%d %d", average, average + 1, average + 2, &running, &threads, &last) == 6);
    CHECK(running >= 1 && threads >= running && last >= 1);
    struct sysinfo info;
    CHECK(!sysinfo(&info) && info.procs >= 1 && info.totalram > info.freeram);
}

static void counts(void) {
    static int fds[900];
    long before, after, unused, limit;
    CHECK(sscanf(slurp("/proc/sys/fs/file-nr"), "%ld %ld %ld", &before, &unused, &limit) == 3 && limit >= 8192);
    for (int i = 0; i < 900; i++) fds[i] = open("/dev/null", O_RDONLY);
    CHECK(sscanf(slurp("/proc/sys/fs/file-nr"), "%ld", &after) == 1 && after - before > 300);
    for (int i = 0; i < 900; i++) close(fds[i]);
    long dentries, inodes;
    CHECK(sscanf(slurp("/proc/sys/fs/dentry-state"), "%ld %ld", &dentries, &unused) == 2 && dentries >= unused);
    CHECK(sscanf(slurp("/proc/sys/fs/inode-nr"), "%ld", &inodes) == 1 && inodes > 10);
    CHECK(!strncmp(slurp("/proc/self/cgroup") , "0::/", 4) || strstr(text, "\n0::/") || strchr(text, ':'));
}

static void memory(void) {
    enum { PAGES = 2000 };
    long long faults = number("/proc/vmstat", "pgfault ");
    char *memory = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(memory, PAGES * 4096, MADV_NOHUGEPAGE);
    for (int i = 0; i < PAGES; i++) memory[i * 4096] = 1;
    CHECK(number("/proc/vmstat", "pgfault ") - faults >= PAGES / 20);
    CHECK(number("/proc/vmstat", "nr_free_pages ") > 0);
    CHECK(number("/proc/vmstat", "nr_anon_pages ") > 0);
    CHECK(number("/proc/meminfo", "AnonPages:") > 0);
    CHECK(number("/proc/meminfo", "MemFree:") <= number("/proc/meminfo", "MemTotal:"));
    CHECK(number("/proc/meminfo", "Slab:") > 0 && number("/proc/meminfo", "PageTables:") > 0);
    munmap(memory, PAGES * 4096);
}

int main(void) {
    forks();
    clocks();
    load();
    counts();
    memory();
    return 0;
}
