// Forks without end, as each child does: for SECONDS, and until one is refused; or until killed.
// Says how the forks ended.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static time_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

int main(int argc, char **argv) {
    time_t end = argc > 1 ? now() + atoi(argv[1]) : 0;
    pid_t first = getpid();
    // Of all of them: how many forks were refused for a good reason, and for another.
    volatile int *refused = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    while (!end || now() < end || (!refused[0] && now() < end + 20)) {
        pid_t child = fork();
        if (child < 0) refused[errno == EAGAIN || errno == ENOMEM ? 0 : 1] = 1;
    }
    if (getpid() != first) _exit(0);
    while (wait(NULL) > 0 || errno != ECHILD) {}
    printf("%s%s\n", refused[0] ? "refused" : "never refused", refused[1] ? ", oddly" : "");
    return 0;
}
