// Storms for SECONDS (default 120): forks, execs, pipes, signals and mappings in parallel, each
// checked; then counts what is left. `stress [SECONDS]` exits with 0 if all held.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char *self;
static double end;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void check(int good, const char *what) {
    if (good) return;
    fprintf(stderr, "stress: %s failed, errno %d\n", what, errno);
    _exit(1);
}

static void forks(void) {
    for (long n = 0; now() < end; n++) {
        int status;
        pid_t child = fork();
        check(child >= 0, "fork");
        if (!child) _exit(n % 100);
        check(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == n % 100, "fork status");
    }
}

static void execs(void) {
    char *argv[] = {self, "-exit", NULL}, *envp[] = {NULL};
    while (now() < end) {
        int status;
        pid_t child = vfork();
        check(child >= 0, "vfork");
        if (!child) {
            execve(self, argv, envp);
            _exit(99);
        }
        check(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 42, "exec status");
    }
}

static void pipes(void) {
    char out[5000], in[5000];
    for (int n = 0; now() < end; n++) {
        int fds[2];
        check(!pipe(fds), "pipe");
        memset(out, n, sizeof out);
        pid_t child = fork();
        check(child >= 0, "fork for a pipe");
        if (!child) {
            for (int i = 0; i < 20; i++) check(write(fds[1], out, sizeof out) == sizeof out, "pipe write");
            _exit(0);
        }
        close(fds[1]);
        long total = 0;
        for (ssize_t got; (got = read(fds[0], in, sizeof in)) > 0; total += got)
            check(!memcmp(in, out, got), "pipe bytes");
        check(total == 20 * (long)sizeof out, "pipe length");
        close(fds[0]);
        check(waitpid(child, NULL, 0) == child, "wait for the writer");
    }
}

static volatile sig_atomic_t caught;

static void on_signal(int signal) {
    (void)signal;
    caught++;
}

static void signals(void) {
    signal(SIGUSR1, on_signal);
    while (now() < end) {
        int before = caught;
        raise(SIGUSR1);
        check(caught == before + 1, "raise");
        pid_t child = fork();
        check(child >= 0, "fork for a signal");
        if (!child) for (;;) pause();
        int status;
        kill(child, SIGSTOP);
        check(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status), "stop");
        kill(child, SIGCONT);
        kill(child, SIGKILL);
        check(waitpid(child, &status, 0) == child && WTERMSIG(status) == SIGKILL, "kill");
    }
}

static void maps(void) {
    for (int n = 1; now() < end; n++) {
        size_t size = (size_t)(n % 64 + 1) * 4096;
        char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        check(memory != MAP_FAILED, "mmap");
        memset(memory, n, size);
        pid_t child = fork();
        check(child >= 0, "fork for copy-on-write");
        if (!child) {
            memset(memory, 0, size);
            _exit(0);
        }
        check(waitpid(child, NULL, 0) == child, "wait for the copy");
        for (size_t i = 0; i < size; i += 4096) check(memory[i] == (char)n, "copy-on-write");
        memory = mremap(memory, size, size * 2, MREMAP_MAYMOVE);
        check(memory != MAP_FAILED && memory[size - 1] == (char)n && !memory[size], "mremap");
        check(!munmap(memory, size * 2), "munmap");
    }
}

static long field(const char *name) {
    char line[100];
    long kib = -1;
    FILE *file = fopen("/proc/meminfo", "r");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, name, strlen(name))) kib = atol(line + strlen(name));
    if (file) fclose(file);
    return kib;
}

static int processes(void) {
    int count = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && (entry = readdir(proc));) count += entry->d_name[0] >= '1' && entry->d_name[0] <= '9';
    if (proc) closedir(proc);
    return count;
}

static int run(double seconds) {
    void (*storms[])(void) = {forks, execs, pipes, signals, maps, forks, pipes, maps};
    int bad = 0, status, count = sizeof storms / sizeof *storms;
    end = now() + seconds;
    for (int i = 0; i < count; i++)
        if (!fork()) {
            storms[i]();
            _exit(0);
        }
    for (int i = 0; i < count; i++) {
        if (wait(&status) < 0 || status) bad++;
    }
    return bad;
}

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "-exit")) return 42;
    self = argv[0];
    // Once for the caches, which stay.
    int bad = run(2);
    long before = field("MemFree:");
    int tasks = processes();
    bad += run(argc > 1 ? atof(argv[1]) : 120);
    long after = field("MemFree:");
    printf("failed storms %d, processes left over %d, KiB lost %ld\n", bad, processes() - tasks, before - after);
    return bad != 0;
}
