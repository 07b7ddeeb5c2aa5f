/* What a program finds at its start: stack, auxiliary vector, heap, vDSO; and how they grow. */
#include "memory.h"
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/time.h>
#include <time.h>

extern char **environ;
static char data[] = "data";
static char bss[3 * PAGE];

static void vector(char **argv)
{
    const Elf64_Ehdr *vdso = (void *)getauxval(AT_SYSINFO_EHDR);
    const Elf64_Phdr *headers = (void *)getauxval(AT_PHDR);
    const unsigned char *random = (void *)getauxval(AT_RANDOM);
    TRUE(getauxval(AT_PAGESZ) == PAGE);
    TRUE(getauxval(AT_CLKTCK) == 100);
    TRUE(getauxval(AT_PHENT) == sizeof *headers);
    TRUE(getauxval(AT_PHNUM) > 2 && headers[0].p_type != 0);
    TRUE(getauxval(AT_ENTRY) != 0);
    TRUE(getauxval(AT_BASE) == 0 && getauxval(AT_FLAGS) == 0);
    TRUE(getauxval(AT_UID) == getuid() && getauxval(AT_EUID) == geteuid());
    TRUE(getauxval(AT_GID) == getgid() && getauxval(AT_EGID) == getegid());
    TRUE(getauxval(AT_SECURE) == 0);
    TRUE(strcmp((char *)getauxval(AT_PLATFORM), "x86_64") == 0);
    TRUE(strcmp((char *)getauxval(AT_EXECFN), argv[0]) == 0 || strchr(argv[0], '/') == NULL);
    TRUE(getauxval(AT_HWCAP) != 0 && getauxval(AT_MINSIGSTKSZ) >= 1024);
    int zeros = 0;
    for (int i = 0; i < 16; i++)
        zeros += random[i] == 0;
    TRUE(zeros < 8);
    TRUE(vdso && memcmp(vdso->e_ident, ELFMAG, SELFMAG) == 0 && vdso->e_type == ET_DYN);
    /* The strings lie above the pointers: arguments, environment, path. */
    TRUE((char *)argv < argv[0] && (environ[0] == NULL || argv[0] < environ[0]));
    TRUE(strcmp(data, "data") == 0);
    int dirty = 0;
    for (size_t i = 0; i < sizeof bss; i++)
        dirty |= bss[i];
    TRUE(dirty == 0);
}

static int depth(int levels)
{
    volatile char block[PAGE];
    block[0] = (char)levels;
    block[PAGE - 1] = block[0];
    return levels == 0 ? 0 : depth(levels - 1) + (block[PAGE - 1] == (char)levels);
}

static void overflow(void)
{
    static char alternate[65536];
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_sigaction = on_fault,
                               .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    sigaction(SIGSEGV, &action, NULL);
    if (sigsetjmp(escape, 1) == 0) {
        printf("%d\n", depth(1 << 20));
        exit(1);
    }
    printf("stack overflow: signal %d code %d\n", fault_signal, fault_code);
}

static void stacks(void)
{
    TRUE(depth(1500) == 1500);
    TRUE(IN_CHILD(overflow()) == 0);
    struct rlimit limit = {.rlim_cur = 1 << 20, .rlim_max = RLIM_INFINITY};
    getrlimit(RLIMIT_STACK, &limit);
    TRUE(IN_CHILD(limit.rlim_cur = 16 << 20; setrlimit(RLIMIT_STACK, &limit);
                  if (depth(3000) != 3000) _exit(1)) == 0);
    /* A mapping that grows down by itself. */
    char *area = anonymous(600);
    munmap(area, 600 * PAGE);
    char *low = area + 590 * PAGE;
    char *grows = mmap(low, 2 * PAGE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
    TRUE(grows == low);
    TEXT(WRITE(low - 1));
    TEXT(WRITE(low - 3 * PAGE));
    char *wall = mmap(area + 200 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
                      -1, 0);
    TEXT(READ(wall));
    TEXT(WRITE(area + 470 * PAGE));
    TEXT(WRITE(area + 440 * PAGE));
}

static void heap(void)
{
    char *start = (char *)syscall(SYS_brk, 0);
    TRUE((char *)syscall(SYS_brk, 1) == start);
    TRUE((char *)syscall(SYS_brk, start + 3 * PAGE + 5) == start + 3 * PAGE + 5);
    TRUE(start[0] == 0 && start[3 * PAGE] == 0);
    start[2 * PAGE] = 5;
    TRUE((char *)syscall(SYS_brk, start + PAGE) == start + PAGE);
    TRUE((char *)syscall(SYS_brk, start + 3 * PAGE) == start + 3 * PAGE);
    TRUE(start[2 * PAGE] == 0);
    TRUE((char *)syscall(SYS_brk, start + (1UL << 46)) == start + 3 * PAGE);
    char *end = (char *)(((uintptr_t)start + 3 * PAGE + PAGE - 1) & -PAGE);
    mmap(end + 4 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    TRUE((char *)syscall(SYS_brk, start + 20 * PAGE) == start + 3 * PAGE);
    munmap(end + 4 * PAGE, PAGE);
    TRUE(IN_CHILD(if ((char *)syscall(SYS_brk, 0) != start + 3 * PAGE) _exit(1);
                  start[0] = 9; syscall(SYS_brk, start)) == 0);
    TRUE(start[0] == 0);
    TRUE((char *)syscall(SYS_brk, start) == start);
}

static int64_t ns(const struct timespec *time)
{
    return time->tv_sec * 1000000000LL + time->tv_nsec;
}

/* libc's clock, which is the vDSO's if there is one, and the kernel's, agree and never go back. */
static void clocks(void)
{
    static const clockid_t ids[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW,
                                    CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME,
                                    CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};
    for (unsigned i = 0; i < sizeof ids / sizeof *ids; i++) {
        int backwards = 0, far = 0;
        struct timespec last = {0}, direct, quick, after;
        for (int round = 0; round < 1000; round++) {
            syscall(SYS_clock_gettime, ids[i], &direct);
            clock_gettime(ids[i], &quick);
            syscall(SYS_clock_gettime, ids[i], &after);
            /* A coarse clock may be a tick behind. */
            backwards += ns(&quick) < ns(&last) || ns(&quick) + 20000000 < ns(&direct);
            far += ns(&after) + 20000000 < ns(&quick);
            last = quick;
        }
        printf("clock %d: %d backwards, %d ahead\n", ids[i], backwards, far);
    }
    SHOW(clock_gettime(99, &(struct timespec){0}));
    struct timespec one, two;
    struct timeval day;
    clock_gettime(CLOCK_REALTIME, &one);
    gettimeofday(&day, NULL);
    time_t seconds = time(NULL);
    clock_gettime(CLOCK_REALTIME, &two);
    TRUE(day.tv_sec >= one.tv_sec && day.tv_sec <= two.tv_sec && day.tv_usec < 1000000);
    TRUE(seconds >= one.tv_sec - 1 && seconds <= two.tv_sec);
    struct timespec resolution;
    clock_getres(CLOCK_MONOTONIC, &resolution);
    TRUE(ns(&resolution) == 1);
}

int main(int argc, char **argv)
{
    TRUE(argc == 1);
    catch_faults();
    vector(argv);
    stacks();
    catch_faults();
    heap();
    clocks();
    return 0;
}
