// Shared by the test programs: print what a call returned, so that the same binary's output on Linux
// and on Jinux can be compared line by line. Nothing that differs between two runs is printed.
#ifndef CHECK_H
#define CHECK_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// An address that is never mapped, which the compiler cannot know.
__attribute__((unused)) static void *volatile wild = (void *)8;

// Prints `EXPR = RESULT` or `EXPR = -1 errno N`.
#define SHOW(expr)                                                        \
    ({                                                                    \
        errno = 0;                                                        \
        long result_ = (long)(expr);                                      \
        if (result_ == -1)                                                \
            printf("%s = -1 errno %d\n", #expr, errno);                   \
        else                                                              \
            printf("%s = %ld\n", #expr, result_);                         \
        fflush(stdout);                                                   \
        result_;                                                          \
    })

// Prints whether the call succeeded, for results that differ between runs (pids, addresses).
#define OK(expr)                                                          \
    ({                                                                    \
        errno = 0;                                                        \
        long result_ = (long)(expr);                                      \
        if (result_ == -1)                                                \
            printf("%s failed, errno %d\n", #expr, errno);                \
        else                                                              \
            printf("%s ok\n", #expr);                                     \
        fflush(stdout);                                                   \
        result_;                                                          \
    })

// Prints a condition that must hold.
#define CHECK(cond)                                                       \
    do {                                                                  \
        printf("%s: %s\n", #cond, (cond) ? "yes" : "NO");                 \
        fflush(stdout);                                                   \
    } while (0)

// Prints a wait status in words.
static inline void show_status(const char *what, int status) {
    if (WIFEXITED(status))
        printf("%s: exited %d\n", what, WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        printf("%s: killed by %d\n", what, WTERMSIG(status));
    else if (WIFSTOPPED(status))
        printf("%s: stopped by %d\n", what, WSTOPSIG(status));
    else if (WIFCONTINUED(status))
        printf("%s: continued\n", what);
    else
        printf("%s: status %x\n", what, status);
    fflush(stdout);
}

static inline void sleep_ms(long ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&t, &t) && errno == EINTR) {}
}
#endif
