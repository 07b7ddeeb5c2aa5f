// Ten thousand blocked threads: `threads [N]` blocks a third each in a futex, a pipe and a sleep,
// prints what the kernel pays for one beside the user's own memory, wakes them all and joins them.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int word, fds[2];
static volatile int started, woken;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static long memory_free(void) {
    char line[100];
    long kib = -1;
    FILE *file = fopen("/proc/meminfo", "r");
    if (!file) fail("/proc/meminfo");
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "MemFree: %ld", &kib) == 1) break;
    fclose(file);
    return kib * 1024;
}

static long resident(void) {
    long size, pages;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &size, &pages) != 2) fail("/proc/self/statm");
    fclose(file);
    return pages * 4096;
}

static void *block(void *arg) {
    long kind = (long)arg % 3;
    char byte;
    __atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
    if (kind == 0) {
        while (!__atomic_load_n(&word, __ATOMIC_SEQ_CST))
            syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    } else if (kind == 1) {
        if (read(fds[0], &byte, 1) != 1) fail("read");
    } else {
        struct timespec second = {0, 200000000};
        while (!__atomic_load_n(&word, __ATOMIC_SEQ_CST)) nanosleep(&second, NULL);
    }
    __atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

int main(int argc, char **argv) {
    long count = argc > 1 ? atol(argv[1]) : 10000;
    pthread_t *threads = calloc(count, sizeof *threads);
    pthread_attr_t attr;
    struct timespec pause = {0, 100000000};
    if (!threads || pipe(fds)) fail("setup");
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 16384);
    long free_before = memory_free(), resident_before = resident();
    for (long i = 0; i < count; i++)
        if ((errno = pthread_create(&threads[i], &attr, block, (void *)i))) fail("pthread_create");
    while (started < count) nanosleep(&pause, NULL);
    nanosleep(&pause, NULL);
    long kernel = (free_before - memory_free()) - (resident() - resident_before);
    printf("threads %ld, kernel bytes a thread %ld\n", count, kernel / count);
    fflush(stdout);
    __atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1 << 30, NULL, NULL, 0);
    char bytes[256] = {0};
    for (long left = (count + 1) / 3 + 1; left > 0; left -= sizeof bytes)
        if (write(fds[1], bytes, sizeof bytes) < 0) fail("write");
    for (long i = 0; i < count; i++) pthread_join(threads[i], NULL);
    printf("woken and joined %d\n", woken);
    return woken == count ? 0 : 1;
}
