// What a program must not do, and which signal it gets for it; then, that the machine goes on.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define KERNEL 0xffffffff81000000ul
#define DIRECT 0xffff888000000000ul
#define NONSENSE 0x8000000000000000ul

static char other_stack[65536];

// Set where real CPUs and emulated ones send different signals: only that there is one is told.
static int some_signal;

// Says which signal it was; an address only where the program chose it.
static void caught(int signal, siginfo_t *info, void *context) {
    ucontext_t *at = context;
    uintptr_t address = (uintptr_t)info->si_addr;
    const char *where = !address ? "none" : address == (uintptr_t)at->uc_mcontext.gregs[REG_RIP]
        ? "rip" : address >> 47 ? "high" : "low";
    char line[100];
    int len = some_signal ? snprintf(line, sizeof line, "  a signal\n") : snprintf(line, sizeof line, "  %s, code %d, at %s, trap %d\n", strsignal(signal),
        info->si_code, where, (int)at->uc_mcontext.gregs[REG_TRAPNO]);
    if (write(1, line, len) != len) _exit(1);
    _exit(0);
}

static void handle(void) {
    stack_t stack = {.ss_sp = other_stack, .ss_size = sizeof other_stack};
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaltstack(&stack, 0);
    int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    for (unsigned n = 0; n < sizeof signals / sizeof *signals; n++) sigaction(signals[n], &action, 0);
}

// Runs the attempt with a handler, then without.
static void attempt(const char *name, void (*body)(void)) {
    printf("%s\n", name);
    fflush(stdout);
    for (int handled = 1; handled >= 0; handled--) {
        int status;
        pid_t child = fork();
        if (!child) {
            if (handled) handle();
            body();
            if (write(1, "  went on\n", 10) != 10) _exit(2);
            _exit(3);
        }
        waitpid(child, &status, 0);
        if (WIFSIGNALED(status))
            printf("  killed: %s\n", some_signal ? "yes" : strsignal(WTERMSIG(status)));
        else printf("  exit %d\n", WEXITSTATUS(status));
        fflush(stdout);
    }
}

#define CODE(name, text) static void name(void) { __asm__ volatile(text ::: "memory", "rax", "rcx", "rdx"); }
CODE(do_hlt, "hlt")
CODE(do_cli, "cli")
CODE(do_sti, "sti")
CODE(do_in, "mov $0x60, %%dx; in %%dx, %%al")
CODE(do_out, "mov $0xf4, %%dx; xor %%eax, %%eax; out %%eax, %%dx")
CODE(do_wrmsr, "mov $0xc0000082, %%ecx; xor %%eax, %%eax; xor %%edx, %%edx; wrmsr")
CODE(do_rdmsr, "mov $0xc0000082, %%ecx; rdmsr")
CODE(do_lidt, "lidt (%%rsp)")
CODE(do_ltr, "xor %%eax, %%eax; ltr %%ax")
CODE(do_mov_cr3, "mov %%cr3, %%rax; mov %%rax, %%cr3")
CODE(do_mov_dr7, "mov %%rax, %%dr7")
CODE(do_invlpg, "invlpg (%%rsp)")
CODE(do_swapgs, "swapgs")
CODE(do_sysret, "sysretq")
CODE(do_iret, "pushq $0; pushq $0; pushq $0; pushq $0x10; pushq $0; iretq")
CODE(do_ud2, "ud2")
CODE(do_int3, "int3")
CODE(do_int1, "int $1")
CODE(do_load_kernel_selector, "mov $0x18, %%eax; mov %%ax, %%ss")
CODE(do_xsetbv, "xor %%ecx, %%ecx; xor %%edx, %%edx; mov $7, %%eax; xsetbv")
CODE(do_jump_kernel, "mov $0xffffffff81000000, %%rax; jmp *%%rax")
CODE(do_jump_null, "xor %%eax, %%eax; jmp *%%rax")
CODE(do_single_step, "pushfq; orq $0x100, (%%rsp); popfq; nop; nop")
CODE(do_step_syscall, "pushfq; orq $0x100, (%%rsp); popfq; mov $39, %%eax; syscall; nop")
// A flags word with everything set: what a program may not have is not taken.
CODE(do_popf, "mov $-1, %%rax; btr $8, %%rax; btr $18, %%rax; btr $10, %%rax; push %%rax; popfq; pushfq; pop %%rax; cld")

static void touch(uintptr_t at) { (void)*(volatile char *)at; }
static void read_kernel(void) { touch(KERNEL); }
static void read_direct(void) { touch(DIRECT + 0x100000); }
static void read_top(void) { touch(~0ul - 7); }
static void write_kernel(void) { *(volatile char *)KERNEL = 1; }
static void read_nonsense(void) { touch(NONSENSE); }
static void write_nonsense(void) { *(volatile char *)NONSENSE = 1; }
static void read_null(void) { touch(0x10); }
static void write_code(void) { *(volatile char *)(uintptr_t)read_null = 1; }
static void execute_data(void) {
    static char code[16] = {(char)0xc3};
    ((void (*)(void))(uintptr_t)code)();
}
static void execute_stack(void) {
    volatile char code[16] = {(char)0xc3};
    ((void (*)(void))(uintptr_t)code)();
}
static void edge_of_user_half(void) { touch(0x7ffffffff000 - 1); touch(0x7ffffffff000); }
static void past_file(void) {
    char path[] = "emptyXXXXXX";
    int fd = mkstemp(path);
    touch((uintptr_t)mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0));
}

static int deeper(volatile int n) {
    volatile char space[4096];
    space[0] = (char)n;
    return n < 0 ? 0 : deeper(n + 1) + space[0];
}
static void overflow(void) {
    struct rlimit limit = {1 << 20, 1 << 20};
    setrlimit(RLIMIT_STACK, &limit);
    deeper(0);
}
static void divide(void) { __asm__ volatile("xor %%ecx, %%ecx; div %%ecx" ::: "rax", "rcx", "rdx"); }
static void misaligned_sse(void) { __asm__ volatile("sub $8, %%rsp; and $-16, %%rsp; movaps 8(%%rsp), %%xmm0" ::: "memory"); _exit(9); }
static void stack_nowhere(void) { __asm__ volatile("mov $0x8000000000000000, %%rax; mov %%rax, %%rsp; push %%rax" ::: "memory", "rax"); }
// A system call with a stack pointer that points nowhere is none of the kernel's business.
static void call_without_stack(void) {
    __asm__ volatile("mov %%rsp, %%rbx; mov $0xffffffff81000001, %%rsp; mov $39, %%eax; syscall; mov %%rbx, %%rsp"
        ::: "memory", "rax", "rbx", "rcx", "r11");
}

static uintptr_t return_to, return_stack;
static void redirect(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    ucontext_t *at = context;
    if (return_to) at->uc_mcontext.gregs[REG_RIP] = (greg_t)return_to;
    if (return_stack) at->uc_mcontext.gregs[REG_RSP] = (greg_t)return_stack;
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigaction(SIGUSR1, &action, 0);
}
static void return_with(uintptr_t to, uintptr_t stack) {
    struct sigaction action = {.sa_sigaction = redirect, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, 0);
    return_to = to, return_stack = stack;
    raise(SIGUSR1);
}
static void return_nonsense(void) { return_with(NONSENSE, 0); }
static void return_kernel(void) { return_with(KERNEL, 0); }
static void return_edge(void) { return_with(0x800000000000ul, 0); }
static void return_stack_nonsense(void) { return_with(0, NONSENSE); }
// rt_sigreturn with a frame that is not one.
static void return_nothing(void) {
    __asm__ volatile("mov $0x1000, %%rsp; mov $15, %%eax; syscall" ::: "memory", "rax", "rcx", "r11");
}
static void handler_without_stack(void) {
    struct sigaction action = {.sa_sigaction = redirect, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, 0);
    __asm__ volatile("mov $39, %%eax; syscall; mov %%eax, %%edi; mov $10, %%esi; mov $62, %%eax;"
        "mov $0x1000, %%rsp; syscall" ::: "memory", "rax", "rcx", "rdi", "rsi", "r11");
}
static void unmap_all(void) { munmap((void *)0x10000, 0x7fffffdf0000ul); }

#define TRY(name) attempt(#name, name)

int main(void) {
    TRY(do_hlt), TRY(do_cli), TRY(do_sti), TRY(do_in), TRY(do_out), TRY(do_wrmsr), TRY(do_rdmsr);
    TRY(do_lidt), TRY(do_ltr), TRY(do_mov_cr3), TRY(do_mov_dr7), TRY(do_invlpg), TRY(do_swapgs);
    TRY(do_sysret), TRY(do_iret), TRY(do_ud2), TRY(do_int3), TRY(do_int1), TRY(do_xsetbv);
    TRY(do_load_kernel_selector), TRY(do_jump_kernel), TRY(do_jump_null);
    TRY(do_single_step), TRY(do_step_syscall), TRY(do_popf);
    TRY(read_kernel), TRY(read_direct), TRY(read_top), TRY(write_kernel), TRY(read_nonsense);
    TRY(write_nonsense), TRY(read_null), TRY(write_code), TRY(execute_data), TRY(execute_stack);
    TRY(edge_of_user_half), TRY(past_file), TRY(overflow), TRY(divide), TRY(misaligned_sse);
    TRY(call_without_stack), TRY(return_nonsense), TRY(return_kernel), TRY(return_nothing);
    TRY(handler_without_stack), TRY(unmap_all);
    some_signal = 1;
    TRY(stack_nowhere), TRY(return_edge), TRY(return_stack_nonsense);
    return 0;
}
