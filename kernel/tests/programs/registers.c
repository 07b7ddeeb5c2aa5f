// What a program finds in its registers after calls, faults, signals and single steps.
#include "check.h"
#include <sys/time.h>
#include <ucontext.h>

// getppid with a pattern in each register; which are another one afterwards, as a mask.
static unsigned long changed_by_call(int *rcx_is_rip, int *flags_kept) {
    unsigned long mask, rip, rcx, flags;
    asm volatile(
        "push %%rbp\n mov $0x5b, %%ebx\n mov $0x5d, %%edx\n mov $0x51, %%esi\n mov $0x52, %%edi\n"
        "mov $0x55, %%ebp\n mov $8, %%r8d\n mov $9, %%r9d\n mov $10, %%r10d\n mov $12, %%r12d\n"
        "mov $13, %%r13d\n mov $14, %%r14d\n mov $15, %%r15d\n mov $110, %%eax\n"
        "stc\n std\n syscall\n 1: pushf\n cld\n"
        "xor %%eax, %%eax\n"
        "cmp $0x5b, %%rbx\n je 2f\n or $1, %%eax\n 2: cmp $0x5d, %%rdx\n je 2f\n or $2, %%eax\n"
        "2: cmp $0x51, %%rsi\n je 2f\n or $4, %%eax\n 2: cmp $0x52, %%rdi\n je 2f\n or $8, %%eax\n"
        "2: cmp $0x55, %%rbp\n je 2f\n or $16, %%eax\n 2: cmp $8, %%r8\n je 2f\n or $32, %%eax\n"
        "2: cmp $9, %%r9\n je 2f\n or $64, %%eax\n 2: cmp $10, %%r10\n je 2f\n or $128, %%eax\n"
        "2: cmp $12, %%r12\n je 2f\n or $256, %%eax\n 2: cmp $13, %%r13\n je 2f\n or $512, %%eax\n"
        "2: cmp $14, %%r14\n je 2f\n or $1024, %%eax\n 2: cmp $15, %%r15\n je 2f\n or $2048, %%eax\n"
        "2: pop %%rdx\n pop %%rbp\n lea 1b(%%rip), %%rsi\n mov %%rcx, %%rdi\n"
        : "=a"(mask), "=d"(flags), "=S"(rip), "=D"(rcx)
        :
        : "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
    *rcx_is_rip = rcx == rip;
    *flags_kept = (flags & 0x401) == 0x401;
    return mask;
}

static volatile sig_atomic_t alarms;

static void count_alarm(int signal) {
    (void)signal;
    alarms++;
}

// Interrupts at any instruction leave even RCX and R11 alone.
static int survives_interrupts(void) {
    struct itimerval often = {{0, 2000}, {0, 2000}}, never = {0};
    unsigned long wrong = 0;
    signal(SIGALRM, count_alarm);
    setitimer(ITIMER_REAL, &often, NULL);
    while (alarms < 20) {
        asm volatile(
            "mov $0x1234, %%ecx\n mov $0x5678, %%r11d\n mov $100000, %%eax\n"
            "1: cmp $0x1234, %%rcx\n jne 2f\n cmp $0x5678, %%r11\n jne 2f\n dec %%eax\n jnz 1b\n"
            "jmp 3f\n 2: inc %0\n 3:\n"
            : "+r"(wrong)
            :
            : "rax", "rcx", "r11", "cc");
    }
    setitimer(ITIMER_REAL, &never, NULL);
    return !wrong;
}

static volatile int steps, stray;
static volatile unsigned long first, last;

static void count_step(int signal, siginfo_t *info, void *context) {
    ucontext_t *user = context;
    (void)signal;
    (void)info;
    unsigned long rip = user->uc_mcontext.gregs[REG_RIP];
    if (rip >= first && rip <= last) steps |= 1 << (rip - first);
    if (!(user->uc_mcontext.gregs[REG_EFL] & 0x100)) stray++;
}

// Which instructions around a call a single-stepped program traps at, as a mask of offsets.
static int stepped(void) {
    struct sigaction action = {.sa_sigaction = count_step, .sa_flags = SA_SIGINFO};
    sigaction(SIGTRAP, &action, NULL);
    asm volatile(
        "lea 1f(%%rip), %%rax\n mov %%rax, %0\n lea 2f(%%rip), %%rax\n mov %%rax, %1\n"
        "mov $110, %%eax\n sub $128, %%rsp\n pushf\n orl $0x100, (%%rsp)\n popf\n"
        "1: nop\n nop\n syscall\n nop\n nop\n nop\n pushf\n andl $~0x100, (%%rsp)\n popf\n 2: nop\n"
        "add $128, %%rsp\n"
        : "=m"(first), "=m"(last)
        :
        : "rax", "rcx", "r11", "memory", "cc");
    signal(SIGTRAP, SIG_DFL);
    return steps;
}

static void at_call(int signal, siginfo_t *info, void *context) {
    ucontext_t *user = context;
    (void)signal;
    (void)info;
    greg_t *regs = user->uc_mcontext.gregs;
    printf("handler in a call: rcx %s rip, r11 %s flags\n", regs[REG_RCX] == regs[REG_RIP] ? "=" : "!=",
           regs[REG_R11] == regs[REG_EFL] ? "=" : "!=");
    regs[REG_RBX] ^= 0x77;
    regs[REG_R11] = 99;
}

static void change_registers(void) {
    struct sigaction action = {.sa_sigaction = at_call, .sa_flags = SA_SIGINFO};
    unsigned long rbx, result;
    sigaction(SIGUSR1, &action, NULL);
    asm volatile("mov %%rbx, %%r12\n mov $1, %%ebx\n syscall\n mov %%rbx, %0\n mov %%r12, %%rbx\n"
                 : "=D"(rbx), "=a"(result)
                 : "a"(SYS_tgkill), "D"(getpid()), "S"(gettid()), "d"(SIGUSR1)
                 : "rcx", "r11", "r12", "memory");
    printf("rbx after the handler: %#lx\n", rbx);
}

// Goes to `rip` with the flags changed by way of sigreturn.
static volatile unsigned long go_to;

static void send_away(int signal, siginfo_t *info, void *context) {
    ucontext_t *user = context;
    (void)signal;
    (void)info;
    user->uc_mcontext.gregs[REG_RIP] = go_to;
    user->uc_mcontext.gregs[REG_RCX] = go_to;
}

static void jump(const char *what, unsigned long rip) {
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        struct sigaction action = {.sa_sigaction = send_away, .sa_flags = SA_SIGINFO};
        sigaction(SIGUSR1, &action, NULL);
        go_to = rip;
        syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    printf("to %s: signal %d\n", what, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

int main(void) {
    int rcx, flags;
    for (int i = 0; i < 3; i++) {
        unsigned long mask = changed_by_call(&rcx, &flags);
        printf("changed %#lx, rcx is rip %d, flags kept %d\n", mask, rcx, flags);
    }
    printf("interrupts: %s\n", survives_interrupts() ? "nothing changed" : "changed");
    printf("steps %#x, stray %d\n", stepped(), stray);
    change_registers();
    jump("a non-canonical address", 0x800000000000);
    jump("the kernel", 0xffffffff80000000);
    jump("nowhere", 8);
    return 0;
}
