// futex: waiting and waking by mask, requeueing, operations on a second word, priority inheritance,
// robust lists, shared and private words, timeouts.
#include "check.h"
#include <linux/futex.h>
#include <pthread.h>
#include <stddef.h>

static long futex(volatile void *word, int op, long val, const void *timeout, volatile void *word2, long val3) {
    return syscall(SYS_futex, word, op, val, timeout, word2, val3);
}

static volatile unsigned one, two;

struct sleeper {
    volatile unsigned *word;
    int op;
    unsigned mask;
    long result;
    pthread_t thread;
    volatile int tid;
};

static void *sleep_on(void *arg) {
    struct sleeper *s = arg;
    struct timespec limit;
    clock_gettime(CLOCK_MONOTONIC, &limit);
    limit.tv_sec += 5;
    s->tid = syscall(SYS_gettid);
    long result = futex(s->word, s->op, 0, &limit, NULL, s->mask);
    s->result = result ? -errno : 0;
    return NULL;
}

// Waits until a thread sleeps.
static void until_asleep(int tid) {
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
    for (;;) {
        FILE *file = fopen(path, "r");
        char state = 0;
        if (file && fgets(line, sizeof line, file)) {
            char *end = strrchr(line, ')');
            state = end ? end[2] : 0;
        }
        if (file) fclose(file);
        if (state == 'S') return;
        sleep_ms(1);
    }
}

static void start(struct sleeper *s, volatile unsigned *word, unsigned mask) {
    memset(s, 0, sizeof *s);
    s->word = word;
    s->op = FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG;
    s->mask = mask;
    pthread_create(&s->thread, NULL, sleep_on, s);
    while (!s->tid) sleep_ms(1);
    until_asleep(s->tid);
}

static void finish(struct sleeper *s) {
    pthread_join(s->thread, NULL);
    printf("result %ld\n", s->result);
}

static void waking(void) {
    struct sleeper s[4];
    for (int i = 0; i < 4; i++) start(&s[i], &one, 1u << i);
    SHOW(futex(&one, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, 9, NULL, NULL, 0x10));
    SHOW(futex(&one, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, 9, NULL, NULL, 6));
    SHOW(futex(&one, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, 9, NULL, NULL, 0));
    finish(&s[1]);
    finish(&s[2]);
    // A shared wake does not find those who wait privately.
    SHOW(futex(&one, FUTEX_WAKE, 9, NULL, NULL, 0));
    SHOW(futex(&one, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0));
    finish(&s[0]);
    SHOW(futex(&one, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, -1, NULL, NULL, 0));
    if (s[3].result == 0) SHOW(futex(&one, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0));
    finish(&s[3]);
}

static void requeueing(void) {
    struct sleeper s[3];
    for (int i = 0; i < 3; i++) start(&s[i], &one, ~0u);
    SHOW(futex(&one, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 1, (void *)1, &two, 7));
    SHOW(futex(&one, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 1, (void *)1, &two, 0));
    SHOW(futex(&two, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 9, NULL, NULL, 0));
    SHOW(futex(&one, FUTEX_REQUEUE | FUTEX_PRIVATE_FLAG, 0, (void *)9, &two, 0));
    SHOW(futex(&one, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 9, NULL, NULL, 0));
    SHOW(futex(&two, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 9, NULL, NULL, 0));
    for (int i = 0; i < 3; i++) finish(&s[i]);
    SHOW(futex(&one, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, -1, (void *)1, &two, 0));
    SHOW(futex(&one, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 1, (void *)-1, &two, 0));
    SHOW(futex(&one, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 1, (void *)1, wild, 0));
}

static void operating(void) {
    struct { int op, arg, compare, value; unsigned before; } cases[] = {
        {FUTEX_OP_SET, 5, FUTEX_OP_CMP_EQ, 3, 3},   {FUTEX_OP_ADD, 4, FUTEX_OP_CMP_NE, 3, 3},
        {FUTEX_OP_OR, 8, FUTEX_OP_CMP_LT, 4, 3},    {FUTEX_OP_ANDN, 1, FUTEX_OP_CMP_LE, 2, 3},
        {FUTEX_OP_XOR, 7, FUTEX_OP_CMP_GT, 2, 3},   {FUTEX_OP_ADD, -1, FUTEX_OP_CMP_GE, 4, 3},
        {FUTEX_OP_SET | 8, 4, FUTEX_OP_CMP_EQ, -1, ~0u},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        two = cases[i].before;
        int code = (int)((unsigned)cases[i].op << 28 | (unsigned)cases[i].compare << 24 |
                         (cases[i].arg & 0xfffu) << 12 | (cases[i].value & 0xfffu));
        long result = futex(&one, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 1, (void *)1, &two, code);
        printf("operation %zu: %ld, now %d\n", i, result, (int)two);
    }
    SHOW(futex(&one, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 1, (void *)1, &two, 7u << 28));
    SHOW(futex(&one, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 1, (void *)1, &two, (int)(7u << 24)));
    SHOW(futex(&one, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 1, (void *)1, wild, 0));
    two = 0;
}

static volatile unsigned lock;
static volatile int order[4], taken;

static void *take_lock(void *arg) {
    long result = futex(&lock, FUTEX_LOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0);
    int mine = (lock & FUTEX_TID_MASK) == (unsigned)syscall(SYS_gettid);
    order[taken++] = result ? -errno : mine ? (int)(long)arg : -1;
    if (__sync_bool_compare_and_swap(&lock, (unsigned)syscall(SYS_gettid), 0)) return NULL;
    futex(&lock, FUTEX_UNLOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0);
    return NULL;
}

static void *hold_and_die(void *arg) {
    (void)arg;
    lock = syscall(SYS_gettid);
    return NULL;
}

static void inheritance(void) {
    unsigned me = syscall(SYS_gettid);
    struct timespec past = {0, 0};
    SHOW(futex(&lock, FUTEX_LOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0));
    CHECK(lock == me);
    SHOW(futex(&lock, FUTEX_LOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0));
    SHOW(futex(&lock, FUTEX_TRYLOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0));
    SHOW(futex(&lock, FUTEX_UNLOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0));
    SHOW(lock);
    SHOW(futex(&lock, FUTEX_UNLOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0));
    SHOW(futex(&lock, FUTEX_TRYLOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0));
    CHECK(lock == me);
    pthread_t thread;
    pthread_create(&thread, NULL, take_lock, (void *)1L);
    while (!(lock & FUTEX_WAITERS)) sleep_ms(1);
    CHECK(lock == (me | FUTEX_WAITERS));
    SHOW(futex(&lock, FUTEX_UNLOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0));
    pthread_join(thread, NULL);
    SHOW(order[0]);
    SHOW(lock);
    // Held by who is not there, and by who has ended.
    lock = 99999999 & FUTEX_TID_MASK;
    SHOW(futex(&lock, FUTEX_LOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0));
    pthread_create(&thread, NULL, hold_and_die, NULL);
    pthread_join(thread, NULL);
    SHOW(futex(&lock, FUTEX_LOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0));
    lock = me;
    SHOW(futex(&lock, FUTEX_LOCK_PI | FUTEX_PRIVATE_FLAG, 0, &past, NULL, 0));
    lock = 0;
    SHOW(futex(wild, FUTEX_LOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0));
    SHOW(futex((char *)&lock + 2, FUTEX_LOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0));
}

struct robust_entry {
    struct robust_entry *next;
    volatile unsigned word;
};

static void robust(void) {
    struct { void *next; long offset; void *pending; } *head = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct robust_entry *entries = (void *)((char *)head + 64);
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        unsigned me = getpid();
        head->next = &entries[0];
        entries[0].next = &entries[1];
        entries[1].next = &entries[2];
        entries[2].next = (void *)head;
        head->offset = offsetof(struct robust_entry, word);
        entries[0].word = me;
        entries[1].word = me | FUTEX_WAITERS;
        entries[2].word = me + 1;
        entries[3].word = me;
        head->pending = &entries[3];
        SHOW(syscall(SYS_set_robust_list, head, 24));
        SHOW(syscall(SYS_set_robust_list, head, 23));
        void *got = NULL;
        size_t size = 0;
        SHOW(syscall(SYS_get_robust_list, 0, &got, &size));
        CHECK(got == (void *)head && size == 24);
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    for (int i = 0; i < 4; i++)
        printf("word %d: died %d waiters %d owner %d\n", i, !!(entries[i].word & FUTEX_OWNER_DIED),
               !!(entries[i].word & FUTEX_WAITERS), (entries[i].word & FUTEX_TID_MASK) == (unsigned)child);
    void *got;
    size_t size;
    SHOW(syscall(SYS_get_robust_list, 99999, &got, &size));
    SHOW(syscall(SYS_get_robust_list, -1, &got, &size));
}

static void shared(void) {
    volatile unsigned *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        struct timespec limit = {3, 0};
        long result = futex(word, FUTEX_WAIT, 0, &limit, NULL, 0);
        _exit(result ? errno : 40);
    }
    int woken = 0;
    for (int i = 0; i < 2000 && !woken; i++) {
        sleep_ms(1);
        woken = futex(word, FUTEX_WAKE, 1, NULL, NULL, 0);
    }
    int status;
    waitpid(child, &status, 0);
    show_status("shared word", status);
    // The same file at two places is one word.
    int fd = open("word", O_RDWR | O_CREAT, 0600);
    ftruncate(fd, 4096);
    volatile unsigned *first = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    volatile unsigned *second = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    struct sleeper s;
    memset(&s, 0, sizeof s);
    s.word = first;
    s.op = FUTEX_WAIT_BITSET;
    s.mask = ~0u;
    pthread_create(&s.thread, NULL, sleep_on, &s);
    while (!s.tid) sleep_ms(1);
    until_asleep(s.tid);
    SHOW(futex(second, FUTEX_WAKE, 1, NULL, NULL, 0));
    finish(&s);
}

static void timeouts(void) {
    struct timespec t = {0, 10000000}, zero = {0, 0}, negative = {-1, 0}, large = {0, 1000000000};
    one = 0;
    SHOW(futex(&one, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, &t, NULL, 0));
    SHOW(futex(&one, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, &zero, NULL, 0));
    SHOW(futex(&one, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, &negative, NULL, 0));
    SHOW(futex(&one, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, &large, NULL, 0));
    SHOW(futex(&one, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 1, &t, NULL, 0));
    SHOW(futex(&one, FUTEX_WAIT | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME, 0, &t, NULL, 0));
    SHOW(futex(&one, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME, 0, &zero, NULL, ~0u));
    SHOW(futex(&one, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0, &zero, NULL, ~0u));
    SHOW(futex(&one, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0));
    SHOW(futex(&one, FUTEX_FD, 1, NULL, NULL, 0));
    SHOW(futex(&one, 14, 1, NULL, NULL, 0));
    SHOW(futex(&one, FUTEX_WAIT, 0, wild, NULL, 0));
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    waking();
    requeueing();
    operating();
    inheritance();
    robust();
    shared();
    timeouts();
    return 0;
}
