// Threads of one process: pthreads over clone and futex, exit, exec, signals to threads.
#include "check.h"
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn = PTHREAD_COND_INITIALIZER;
static long shared, whose;

static void *add(void *arg) {
    for (int i = 0; i < 10000; i++) {
        pthread_mutex_lock(&lock);
        shared++;
        pthread_mutex_unlock(&lock);
    }
    return arg;
}

static void *take_turns(void *arg) {
    long me = (long)arg;
    for (int i = 0; i < 200; i++) {
        pthread_mutex_lock(&lock);
        while (whose % 3 != me) pthread_cond_wait(&turn, &lock);
        whose++;
        pthread_cond_broadcast(&turn);
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static long futex(volatile int *word, int op, int val, void *timeout, volatile int *word2, int val3) {
    return syscall(SYS_futex, word, op, val, timeout, word2, val3);
}

static volatile int word, word2;

static void *wait_on_word(void *arg) {
    long result = futex(&word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, (int)(long)arg);
    return (void *)(result ? (long)errno : 0);
}

static void futexes(void) {
    struct timespec ms = {0, 2000000}, bad = {0, 2000000000};
    SHOW(futex(&word, FUTEX_WAIT, 1, NULL, NULL, 0));
    SHOW(futex(&word, FUTEX_WAIT, 0, &ms, NULL, 0));
    SHOW(futex(&word, FUTEX_WAIT, 0, &bad, NULL, 0));
    SHOW(futex(wild, FUTEX_WAIT, 0, &ms, NULL, 0));
    SHOW(futex((int *)((char *)&word + 1), FUTEX_WAIT, 0, &ms, NULL, 0));
    SHOW(futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0));
    SHOW(futex(&word, 99, 1, NULL, NULL, 0));
    SHOW(futex(&word, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0));
    pthread_t threads[4];
    for (long i = 0; i < 4; i++) pthread_create(&threads[i], NULL, wait_on_word, (void *)(1L << i));
    int woken = 0;
    while ((woken += futex(&word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, 9, NULL, NULL, 1)) < 1) sleep_ms(1);
    pthread_join(threads[0], NULL);
    SHOW(woken);
    int moved = 0;
    // Wait until the other three sleep: a requeue moves them all at once.
    while (moved < 3) {
        moved += futex(&word, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 0, (void *)9L, &word2, 0);
        sleep_ms(1);
    }
    SHOW(moved);
    SHOW(futex(&word, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 0, (void *)9L, &word2, 5));
    SHOW(futex(&word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 9, NULL, NULL, 0));
    SHOW(futex(&word2, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0));
    // word2 += 7, wake one waiter of word (none), and one of word2 if its old value was 0.
    SHOW(futex(&word, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 9, (void *)1L, &word2, FUTEX_OP(1, 7, 0, 0)));
    SHOW(word2);
    SHOW(futex(&word2, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 9, NULL, NULL, 0));
    for (int i = 1; i < 4; i++) {
        void *result;
        pthread_join(threads[i], &result);
        SHOW((long)result);
    }
}

static pthread_mutex_t robust;

static void *die_with_lock(void *arg) {
    pthread_mutex_lock(&robust);
    return arg;
}

static void robust_mutex(void) {
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&robust, &attr);
    pthread_t thread;
    pthread_create(&thread, NULL, die_with_lock, NULL);
    pthread_join(thread, NULL);
    CHECK(pthread_mutex_lock(&robust) == EOWNERDEAD);
    CHECK(pthread_mutex_consistent(&robust) == 0);
    pthread_mutex_unlock(&robust);
    pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
    pthread_mutex_t inherit;
    CHECK(pthread_mutex_init(&inherit, &attr) == 0);
    CHECK(pthread_mutex_lock(&inherit) == 0);
    CHECK(pthread_mutex_unlock(&inherit) == 0);
}

static __thread int local = 5;
static volatile int handled_by;

static void note_thread(int signal) {
    (void)signal;
    handled_by = local;
}

static volatile int sleeping;

static void *sleeper(void *arg) {
    local = (int)(long)arg;
    sleeping = 1;
    struct timespec tick = {0, 20000000};
    while (!handled_by) nanosleep(&tick, NULL);
    return NULL;
}

static void *leave_process(void *arg) {
    _exit((int)(long)arg);
}

static void *run_program(void *arg) {
    char *argv[] = {arg, "-after-exec", NULL}, *envp[] = {NULL};
    execve(arg, argv, envp);
    _exit(1);
}

static void ends(char *self) {
    int status;
    struct sigaction action = {.sa_handler = note_thread};
    sigaction(SIGUSR1, &action, NULL);
    pthread_t thread;
    pthread_create(&thread, NULL, sleeper, (void *)8L);
    while (!sleeping) sleep_ms(1);
    CHECK(pthread_kill(thread, SIGUSR1) == 0);
    pthread_join(thread, NULL);
    SHOW(handled_by);
    fflush(stdout);
    if (!fork()) {
        pthread_create(&thread, NULL, leave_process, (void *)6L);
        for (;;) pause();
    }
    wait(&status);
    show_status("exit by a thread", status);
    if (!fork()) {
        pthread_create(&thread, NULL, run_program, self);
        for (;;) pause();
    }
    wait(&status);
    show_status("exec by a thread", status);
    if (!fork()) {
        pthread_create(&thread, NULL, leave_process, (void *)13L);
        syscall(SYS_exit, 5);
    }
    wait(&status);
    show_status("main thread first", status);
    if (!fork()) {
        for (int i = 0; i < 5; i++) pthread_create(&thread, NULL, sleeper, (void *)1L);
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
    wait(&status);
    show_status("killed with threads", status);
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "-after-exec")) {
        CHECK(getpid() == syscall(SYS_gettid));
        return 21;
    }
    pthread_t threads[8];
    for (long i = 0; i < 8; i++) pthread_create(&threads[i], NULL, add, (void *)i);
    for (long i = 0; i < 8; i++) {
        void *result;
        pthread_join(threads[i], &result);
        CHECK(result == (void *)i);
    }
    SHOW(shared);
    for (long i = 0; i < 3; i++) pthread_create(&threads[i], NULL, take_turns, (void *)i);
    for (long i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    SHOW(whose);
    futexes();
    robust_mutex();
    ends(argv[0]);
    return 0;
}
