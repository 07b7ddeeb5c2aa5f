// Latency of single operations: `latency [ROW...]` prints `ROW NANOSECONDS` for each row.
//
// The same static binary runs on Linux and on Jinux. Under QEMU's `-icount shift=N` the clock counts
// instructions (2^N ns each), so the figures are instruction counts and repeat.
// Rows have lmbench's meaning: null = getppid, read = one byte of /dev/zero, ctx = a token passed
// between two processes less the cost of the pipe calls, pipe = round trip of one byte between two
// processes, fork = fork+exit+wait, exec = fork+execve+exit+wait, pagefault = first touch of a page
// of a mapped file, anonfault = first touch of anonymous memory.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096

static char *self;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec t;
    // The call, not the vDSO: a kernel without one must not look faster or slower.
    if (syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t)) fail("clock_gettime");
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static double null_call(int n) {
    double start = now();
    for (int i = 0; i < n; i++) syscall(SYS_getppid);
    return (now() - start) / n;
}

static double read_byte(int n) {
    int fd = open("/dev/zero", O_RDONLY);
    char byte;
    if (fd < 0) fail("/dev/zero");
    double start = now();
    for (int i = 0; i < n; i++)
        if (read(fd, &byte, 1) != 1) fail("read");
    double per_op = (now() - start) / n;
    close(fd);
    return per_op;
}

static void move_byte(int from, int to) {
    char byte = 'x';
    if (from >= 0 && read(from, &byte, 1) != 1) _exit(0);
    if (to >= 0 && write(to, &byte, 1) != 1) _exit(1);
}

static double pipe_round_trip(int n) {
    int there[2], back[2];
    if (pipe(there) || pipe(back)) fail("pipe");
    pid_t child = fork();
    if (child < 0) fail("fork");
    if (!child) {
        close(there[1]);
        close(back[0]);
        for (;;) move_byte(there[0], back[1]);
    }
    close(there[0]);
    close(back[1]);
    move_byte(-1, there[1]);
    move_byte(back[0], -1);
    double start = now();
    for (int i = 0; i < n; i++) {
        move_byte(-1, there[1]);
        move_byte(back[0], -1);
    }
    double per_op = (now() - start) / n;
    close(there[1]);
    close(back[0]);
    waitpid(child, NULL, 0);
    return per_op;
}

// One hop of the token less what the two calls cost without a switch, as lat_ctx reckons.
static double context_switch(int n) {
    int fds[2];
    if (pipe(fds)) fail("pipe");
    move_byte(-1, fds[1]);
    double start = now();
    for (int i = 0; i < n; i++) move_byte(fds[0], fds[1]);
    double overhead = (now() - start) / n;
    return pipe_round_trip(n) / 2 - overhead;
}

static double fork_exit(int n) {
    double start = now();
    for (int i = 0; i < n; i++) {
        pid_t child = fork();
        if (child < 0) fail("fork");
        if (!child) _exit(0);
        if (waitpid(child, NULL, 0) != child) fail("waitpid");
    }
    return (now() - start) / n;
}

static double fork_exec(int n) {
    char *argv[] = {self, "-exit", NULL}, *envp[] = {NULL};
    double start = now();
    for (int i = 0; i < n; i++) {
        pid_t child = fork();
        int status;
        if (child < 0) fail("fork");
        if (!child) {
            execve(self, argv, envp);
            _exit(127);
        }
        if (waitpid(child, &status, 0) != child || status) fail("exec");
    }
    return (now() - start) / n;
}

static double touch(char *memory, int pages) {
    double start = now();
    for (int i = 0; i < pages; i++) {
        // A stride that no read-ahead or fault-around follows, as lat_pagefault's.
        int page = (int)((i * 1103515245u + 12345u) % (unsigned)pages);
        *(volatile char *)(memory + (size_t)page * PAGE);
    }
    return (now() - start) / pages;
}

static double file_fault(int pages) {
    size_t size = (size_t)pages * PAGE;
    int fd = open("/tmp/latency.map", O_RDWR | O_CREAT | O_TRUNC, 0600);
    char page[PAGE];
    if (fd < 0) fail("/tmp/latency.map");
    memset(page, 'p', sizeof page);
    for (int i = 0; i < pages; i++)
        if (write(fd, page, PAGE) != PAGE) fail("write");
    char *memory = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) fail("mmap");
    double per_op = touch(memory, pages);
    munmap(memory, size);
    close(fd);
    unlink("/tmp/latency.map");
    return per_op;
}

static double anonymous_fault(int pages) {
    size_t size = (size_t)pages * PAGE;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail("mmap");
    madvise(memory, size, MADV_NOHUGEPAGE);
    double start = now();
    for (int i = 0; i < pages; i++) memory[(size_t)i * PAGE] = 1;
    double per_op = (now() - start) / pages;
    munmap(memory, size);
    return per_op;
}

static const struct row {
    const char *name;
    double (*run)(int);
    int count;
} rows[] = {
    {"null", null_call, 10000},        {"read", read_byte, 10000},
    {"ctx", context_switch, 2000},     {"pipe", pipe_round_trip, 2000},
    {"fork", fork_exit, 200},          {"exec", fork_exec, 100},
    {"pagefault", file_fault, 2048},   {"anonfault", anonymous_fault, 2048},
};

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "-exit")) return 0;
    self = argv[0];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int wanted = argc == 1;
        for (int arg = 1; arg < argc; arg++) wanted |= !strcmp(argv[arg], rows[i].name);
        if (!wanted) continue;
        rows[i].run(rows[i].count / 10 + 1);
        printf("%s %.1f\n", rows[i].name, rows[i].run(rows[i].count));
        fflush(stdout);
    }
    return 0;
}
