// What a handler sees and what it leaves: registers, FPU and vector state, the alternate stack, masks,
// flags, siginfo of faults, changes of the frame, nesting.
#include "check.h"
#include <immintrin.h>
#include <setjmp.h>
#include <ucontext.h>

static volatile int count;
static sigjmp_buf jump;

static void handle(int signal, void (*handler)(int, siginfo_t *, void *), int flags) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = flags | SA_SIGINFO};
    sigaction(signal, &action, NULL);
}

// Uses every register that calls may change, the FPU and the vectors.
static void disturb(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info, (void)context;
    count++;
    __asm__ volatile(
        "fninit\n fldpi\n fldpi\n fldpi\n"
        "pcmpeqd %%xmm0, %%xmm0\n pcmpeqd %%xmm7, %%xmm7\n pcmpeqd %%xmm15, %%xmm15\n"
        "fninit\n" ::: "xmm0", "xmm7", "xmm15", "memory");
    unsigned csr = 0x1f80 | 0x6000;
    __asm__ volatile("ldmxcsr %0" ::"m"(csr));
}

__attribute__((target("avx"))) static void disturb_avx(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info, (void)context;
    count++;
    __asm__ volatile("vxorps %%ymm3, %%ymm3, %%ymm3\n vzeroall" ::: "xmm3", "memory");
}

static void state(void) {
    handle(SIGUSR1, disturb, 0);
    double st = 0;
    unsigned csr = 0x1f80 | 0x2000, csr_after = 0;
    unsigned short control = 0x027f, control_after = 0;
    uint64_t in[2] = {0x1111222233334444, 0x5555666677778888}, out[6] = {0};
    long pid = getpid(), result = SYS_kill;
    uint64_t kept[4] = {0};
    __asm__ volatile(
        "fldcw %[control]\n ldmxcsr %[csr]\n fld1\n"
        "movdqu %[in], %%xmm0\n movdqu %[in], %%xmm7\n movdqu %[in], %%xmm15\n"
        "mov $0x1234567, %%r12\n mov $0x7654321, %%r13\n mov $0xabcdef, %%r8\n mov $0xfedcba, %%r9\n"
        "std\n"
        "syscall\n"
        "pushfq\n pop %%rbx\n cld\n"
        "mov %%r12, 0(%[kept])\n mov %%r13, 8(%[kept])\n mov %%r8, 16(%[kept])\n mov %%r9, 24(%[kept])\n"
        "movdqu %%xmm0, 0(%[out])\n movdqu %%xmm7, 16(%[out])\n movdqu %%xmm15, 32(%[out])\n"
        "fstpl %[st]\n stmxcsr %[csr_after]\n fnstcw %[control_after]\n"
        "and $0x400, %%rbx\n"
        : "+a"(result), [st] "=m"(st), [csr_after] "=m"(csr_after), [control_after] "=m"(control_after)
        : "D"(pid), "S"((long)SIGUSR1), [in] "m"(in), [out] "r"(out), [kept] "r"(kept), [csr] "m"(csr),
          [control] "m"(control)
        : "rbx", "rcx", "r8", "r9", "r11", "r12", "r13", "xmm0", "xmm7", "xmm15", "memory", "cc");
    printf("count %d result %ld st %g mxcsr %x control %x\n", count, result, st, csr_after, control_after);
    CHECK(out[0] == in[0] && out[1] == in[1] && out[2] == in[0] && out[3] == in[1] && out[4] == in[0] && out[5] == in[1]);
    printf("%lx %lx %lx %lx\n", (long)kept[0], (long)kept[1], (long)kept[2], (long)kept[3]);
    csr = 0x1f80;
    control = 0x037f;
    __asm__ volatile("ldmxcsr %0\n fldcw %1" ::"m"(csr), "m"(control));
}

__attribute__((target("avx"))) static void avx_state(void) {
    handle(SIGUSR1, disturb_avx, 0);
    uint64_t in[4] = {1, 2, 3, 4}, out[4] = {0};
    long result = SYS_kill;
    __asm__ volatile("vmovdqu %[in], %%ymm3\n syscall\n vmovdqu %%ymm3, 0(%[out])\n vzeroupper\n"
                     : "+a"(result)
                     : "D"((long)getpid()), "S"((long)SIGUSR1), [in] "m"(in), [out] "r"(out)
                     : "rcx", "r11", "xmm3", "memory");
    CHECK(!memcmp(in, out, sizeof in));
}

// The state is the thread's: others that use the FPU meanwhile do not change it.
static void others(void) {
    volatile double sum = 0;
    fflush(stdout);
    for (int i = 0; i < 4; i++) {
        if (!fork()) {
            volatile double own = i;
            for (int n = 0; n < 200000; n++) own = own * 1.0000001 + 0.5;
            _exit(own > 0 ? 0 : 1);
        }
    }
    for (int n = 0; n < 300000; n++) sum = sum + 0.25;
    int bad = 0, status;
    while (wait(&status) > 0) bad += status != 0;
    printf("sum %.2f bad %d\n", sum, bad);
}

static char *alternate;

static void where(int signal, siginfo_t *info, void *context) {
    char here;
    stack_t now;
    ucontext_t *uc = context;
    (void)info;
    sigaltstack(NULL, &now);
    printf("signal %d on the alternate stack %d flags %d saved flags %d aligned %d\n", signal,
           &here > alternate && &here < alternate + 65536, now.ss_flags, uc->uc_stack.ss_flags,
           ((long)__builtin_frame_address(0) & 15) == 0);
    stack_t disable = {.ss_flags = SS_DISABLE};
    printf("changed while on it: %d", sigaltstack(&disable, NULL));
    printf(" errno %d\n", errno);
    if (signal == SIGUSR1 && count++ < 2) raise(SIGUSR2);
}

static void stacks(void) {
    alternate = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t stack = {.ss_sp = alternate, .ss_size = 65536}, old;
    errno = 0;
    count = 0;
    SHOW(sigaltstack(&stack, NULL));
    handle(SIGUSR1, where, SA_ONSTACK);
    handle(SIGUSR2, where, SA_ONSTACK);
    raise(SIGUSR1);
    SHOW(sigaltstack(&stack, NULL));
    errno = 0;
    handle(SIGUSR2, where, 0);
    raise(SIGUSR2);
    sigaltstack(NULL, &old);
    SHOW(old.ss_flags);
    stack.ss_flags = 1u << 31;
    SHOW(sigaltstack(&stack, &old));
    errno = 0;
    handle(SIGUSR1, where, SA_ONSTACK);
    raise(SIGUSR1);
    SHOW(sigaltstack(NULL, &old));
    printf("flags %x\n", old.ss_flags);
    stack.ss_flags = 77;
    SHOW(sigaltstack(&stack, NULL));
    stack.ss_flags = SS_DISABLE;
    stack.ss_size = 0;
    SHOW(sigaltstack(&stack, NULL));
    // No room for the frame: the end.
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        stack_t small = {.ss_sp = (void *)4096, .ss_size = 65536};
        sigaltstack(&small, NULL);
        raise(SIGUSR1);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    show_status("a stack that is not there", status);
}

static void leave(int signal, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    printf("signal %d code %d trap %lld", signal, info->si_code, (long long)uc->uc_mcontext.gregs[REG_TRAPNO]);
    // Whether a page was there already is the kernel's choice.
    if (uc->uc_mcontext.gregs[REG_TRAPNO] == 14) printf(" error %llx", (long long)uc->uc_mcontext.gregs[REG_ERR] & 0x16);
    if (signal == SIGSEGV || signal == SIGBUS) {
        long address = (long)info->si_addr;
        if (address < 4096 * 16 || address < 0) printf(" address %lx", address);
        printf(" cr2 agrees %d", uc->uc_mcontext.gregs[REG_CR2] == address || info->si_code == SI_KERNEL);
    }
    printf("\n");
    siglongjmp(jump, 1);
}

static void faults(void) {
    int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    for (int i = 0; i < 5; i++) handle(signals[i], leave, 0);
    char *page = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!sigsetjmp(jump, 1)) *(volatile int *)wild = 1;
    if (!sigsetjmp(jump, 1)) (void)*(volatile int *)wild;
    if (!sigsetjmp(jump, 1)) *(volatile char *)page = 1;
    if (!sigsetjmp(jump, 1)) ((void (*)(void))page)();
    mprotect(page, 4096, PROT_NONE);
    if (!sigsetjmp(jump, 1)) (void)*(volatile char *)page;
    if (!sigsetjmp(jump, 1)) (void)*(volatile char *)0x8000000000000000;
    if (!sigsetjmp(jump, 1)) (void)*(volatile char *)0xffff800000000000;
    if (!sigsetjmp(jump, 1)) ((void (*)(void))0x1000)();
    int fd = open("short", O_RDWR | O_CREAT, 0600);
    char *file = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (!sigsetjmp(jump, 1)) (void)*(volatile char *)file;
    volatile int zero = 0, one = 1;
    if (!sigsetjmp(jump, 1)) {
        volatile int q = one / zero;
        (void)q;
    }
    if (!sigsetjmp(jump, 1)) __asm__ volatile("ud2");
    if (!sigsetjmp(jump, 1)) __asm__ volatile("int3");
    if (!sigsetjmp(jump, 1)) __asm__ volatile("hlt");
    if (!sigsetjmp(jump, 1)) __asm__ volatile("int $0x77");
    if (!sigsetjmp(jump, 1)) __asm__ volatile("mov %%cr0, %%rax" ::: "rax");
    if (!sigsetjmp(jump, 1)) __asm__ volatile("in $0x60, %%al" ::: "al");
    // Single steps.
    if (!sigsetjmp(jump, 1)) __asm__ volatile("pushfq\n orl $0x100, (%%rsp)\n popfq\n nop" ::: "memory", "cc");
}

// Blocked or ignored, a fault still ends the process.
static void unavoidable(void) {
    int status;
    for (int how = 0; how < 3; how++) {
        fflush(stdout);
        pid_t child = fork();
        if (!child) {
            sigset_t all;
            sigfillset(&all);
            if (how == 0) signal(SIGSEGV, SIG_IGN);
            if (how == 1) sigprocmask(SIG_BLOCK, &all, NULL);
            if (how == 2) signal(SIGSEGV, SIG_DFL);
            *(volatile int *)wild = 1;
            _exit(0);
        }
        waitpid(child, &status, 0);
        show_status("fault", status);
    }
}

static void change(int signal, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    (void)signal, (void)info;
    // The call seems to have returned something else, with another mask.
    uc->uc_mcontext.gregs[REG_RAX] = 4242;
    sigaddset(&uc->uc_sigmask, SIGUSR2);
    uc->uc_mcontext.gregs[REG_EFL] |= 0x3000;
}

static void changes(void) {
    sigset_t now;
    unsigned long flags;
    handle(SIGUSR1, change, 0);
    long result = SYS_kill;
    __asm__ volatile("syscall\n pushfq\n pop %1" : "+a"(result), "=r"(flags) : "D"((long)getpid()), "S"((long)SIGUSR1) : "rcx", "r11", "memory");
    SHOW(result);
    SHOW(flags & 0x3000);
    sigprocmask(SIG_BLOCK, NULL, &now);
    CHECK(sigismember(&now, SIGUSR2) && !sigismember(&now, SIGUSR1));
    sigemptyset(&now);
    sigprocmask(SIG_SETMASK, &now, NULL);
}

static char order[32];

static void note(int signal, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    sigset_t now;
    (void)info;
    sigprocmask(SIG_BLOCK, NULL, &now);
    printf("handler of %d: blocked %d %d %d before %d\n", signal, sigismember(&now, SIGUSR1), sigismember(&now, SIGUSR2),
           sigismember(&now, SIGRTMIN), sigismember(&uc->uc_sigmask, signal));
    size_t at = strlen(order);
    order[at] = signal == SIGUSR1 ? 'a' : signal == SIGUSR2 ? 'b' : 'r';
}

static void nesting(void) {
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    sigaddset(&action.sa_mask, SIGUSR2);
    sigaction(SIGUSR1, &action, NULL);
    sigemptyset(&action.sa_mask);
    action.sa_flags |= SA_NODEFER;
    sigaction(SIGUSR2, &action, NULL);
    action.sa_flags &= ~SA_NODEFER;
    sigaction(SIGRTMIN, &action, NULL);
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &all, NULL);
    raise(SIGRTMIN);
    raise(SIGUSR2);
    raise(SIGUSR1);
    sigprocmask(SIG_SETMASK, &none, NULL);
    printf("order %s\n", order);
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    state();
    if (__builtin_cpu_supports("avx")) avx_state();
    else puts("!memcmp(in, out, sizeof in): yes");
    others();
    stacks();
    faults();
    unavoidable();
    changes();
    nesting();
    return 0;
}
