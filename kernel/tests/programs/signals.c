// Handlers, masks, queues, siginfo, alternate stacks, restart, sigsuspend, sigtimedwait, signalfd.
#include "check.h"
#include <setjmp.h>
#include <sys/signalfd.h>
#include <ucontext.h>

static volatile int count, last, code, value;

static void on_signal(int signal) {
    count++;
    last = signal;
}

static void on_info(int signal, siginfo_t *info, void *context) {
    (void)context;
    count++;
    last = signal;
    code = info->si_code;
    value = info->si_value.sival_int;
}

static void handle(int signal, void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigaction(signal, &action, NULL);
}

static void handle_info(int signal, int flags) {
    struct sigaction action = {.sa_sigaction = on_info, .sa_flags = flags | SA_SIGINFO};
    sigaction(signal, &action, NULL);
}

static void actions(void) {
    handle(SIGUSR1, on_signal, 0);
    SHOW(raise(SIGUSR1));
    printf("count %d last %d\n", count, last);
    handle(SIGUSR1, on_signal, SA_RESETHAND);
    SHOW(raise(SIGUSR1));
    struct sigaction old;
    SHOW(sigaction(SIGUSR1, NULL, &old));
    CHECK(old.sa_handler == SIG_DFL);
    SHOW(sigaction(SIGKILL, &old, NULL));
    SHOW(sigaction(SIGSTOP, &old, NULL));
    SHOW(syscall(SYS_rt_sigaction, 65, NULL, NULL, 8));
    SHOW(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4));
    SHOW(syscall(SYS_rt_sigaction, SIGUSR1, wild, NULL, 8));
    handle_info(SIGUSR2, 0);
    union sigval v = {.sival_int = 42};
    SHOW(sigqueue(getpid(), SIGUSR2, v));
    printf("code %d value %d\n", code, value);
    SHOW(kill(getpid(), SIGUSR2));
    printf("code %d\n", code);
    SHOW(syscall(SYS_tkill, getpid(), SIGUSR2));
    printf("code %d\n", code);
    SHOW(syscall(SYS_tgkill, getpid(), getpid(), 0));
    SHOW(syscall(SYS_tgkill, getpid(), -1, 0));
    SHOW(syscall(SYS_tgkill, 1, getpid(), 0));
}

static void masks(void) {
    sigset_t set, old, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN);
    sigaddset(&set, SIGKILL);
    SHOW(sigprocmask(SIG_BLOCK, &set, &old));
    SHOW(sigprocmask(77, &set, NULL));
    sigprocmask(SIG_BLOCK, NULL, &old);
    CHECK(!sigismember(&old, SIGKILL));
    CHECK(sigismember(&old, SIGUSR1));
    handle(SIGUSR1, on_signal, 0);
    handle_info(SIGRTMIN, 0);
    count = 0;
    for (int i = 0; i < 3; i++) raise(SIGUSR1);
    union sigval v;
    for (int i = 0; i < 3; i++) {
        v.sival_int = i;
        sigqueue(getpid(), SIGRTMIN, v);
    }
    sigpending(&pending);
    CHECK(sigismember(&pending, SIGUSR1) && sigismember(&pending, SIGRTMIN));
    SHOW(count);
    siginfo_t info;
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGRTMIN);
    struct timespec zero = {0, 0}, bad = {0, -1}, ms = {0, 1000000};
    CHECK(sigtimedwait(&one, &info, &zero) == SIGRTMIN);
    printf("value %d code %d\n", info.si_value.sival_int, info.si_code);
    SHOW(sigtimedwait(&one, &info, &bad));
    SHOW(sigprocmask(SIG_UNBLOCK, &set, NULL));
    printf("count %d value %d\n", count, value);
    SHOW(sigtimedwait(&one, &info, &ms));
    sigemptyset(&one);
    SHOW(sigprocmask(SIG_SETMASK, &one, NULL));
}

static void interrupted(void) {
    int fds[2];
    char c;
    pipe(fds);
    pid_t parent = getpid();
    handle(SIGUSR1, on_signal, 0);
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        sleep_ms(50);
        kill(parent, SIGUSR1);
        _exit(0);
    }
    SHOW(read(fds[0], &c, 1));
    waitpid(child, NULL, 0);
    handle(SIGUSR1, on_signal, SA_RESTART);
    child = fork();
    if (!child) {
        sleep_ms(50);
        kill(parent, SIGUSR1);
        sleep_ms(50);
        write(fds[1], "r", 1);
        _exit(0);
    }
    SHOW(read(fds[0], &c, 1));
    waitpid(child, NULL, 0);
    child = fork();
    if (!child) {
        sleep_ms(50);
        kill(parent, SIGUSR1);
        _exit(0);
    }
    struct timespec t = {5, 0}, left = {0, 0};
    SHOW(nanosleep(&t, &left));
    CHECK(left.tv_sec == 4);
    waitpid(child, NULL, 0);
    child = fork();
    if (!child) {
        sleep_ms(50);
        kill(parent, SIGUSR1);
        _exit(0);
    }
    SHOW(pause());
    waitpid(child, NULL, 0);
    sigset_t set, empty;
    sigemptyset(&set);
    sigemptyset(&empty);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR1);
    count = 0;
    SHOW(sigsuspend(&empty));
    SHOW(count);
    sigprocmask(SIG_BLOCK, NULL, &empty);
    CHECK(sigismember(&empty, SIGUSR1));
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    // A stop and a continue do not interrupt a read.
    child = fork();
    if (!child) {
        close(fds[1]);
        _exit(read(fds[0], &c, 1) == 1 ? 0 : 1);
    }
    sleep_ms(30);
    kill(child, SIGSTOP);
    int status;
    waitpid(child, &status, WUNTRACED);
    kill(child, SIGCONT);
    sleep_ms(30);
    write(fds[1], "x", 1);
    waitpid(child, &status, 0);
    show_status("reader stopped and continued", status);
}

static sigjmp_buf jump;
static char *alt_stack;

static void on_alternate(int signal, siginfo_t *info, void *context) {
    char here;
    ucontext_t *uc = context;
    printf("signal %d code %d on alternate stack %d address %lx trap %lld\n", signal, info->si_code,
           &here > alt_stack && &here < alt_stack + 65536, (long)info->si_addr,
           (long long)uc->uc_mcontext.gregs[20]);
    siglongjmp(jump, 1);
}

static void faults(void) {
    alt_stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t stack = {.ss_sp = alt_stack, .ss_size = 65536}, old;
    SHOW(sigaltstack(&stack, NULL));
    SHOW(sigaltstack(NULL, &old));
    CHECK(old.ss_sp == alt_stack && old.ss_size == 65536 && old.ss_flags == 0);
    stack.ss_size = 100;
    SHOW(sigaltstack(&stack, NULL));
    stack.ss_flags = 77;
    SHOW(sigaltstack(&stack, NULL));
    struct sigaction action = {.sa_sigaction = on_alternate, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    int kinds[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    for (int i = 0; i < 5; i++) sigaction(kinds[i], &action, NULL);
    if (!sigsetjmp(jump, 1)) *(volatile int *)0x10 = 1;
    if (!sigsetjmp(jump, 1)) {
        char *page = (char *)0x100000;
        mmap(page, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        *(volatile char *)page = 1;
    }
    if (!sigsetjmp(jump, 1)) {
        int fd = open("short", O_CREAT | O_RDWR | O_TRUNC, 0600);
        write(fd, "x", 1);
        char *page = (char *)0x200000;
        mmap(page, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
        page[4096] = 1;
    }
    volatile int zero = 0;
    if (!sigsetjmp(jump, 1)) zero = 1 / zero;
    if (!sigsetjmp(jump, 1)) {
        void (*nowhere)(void) = (void (*)(void))0x100000;
        nowhere();
    }
    fflush(stdout);
    // The stack runs over: a fault on the alternate stack, or death without one.
    pid_t child = fork();
    if (!child) {
        signal(SIGSEGV, SIG_DFL);
        volatile char *deep = __builtin_frame_address(0);
        for (;;) {
            deep -= 4096;
            *deep = 1;
        }
    }
    int status;
    waitpid(child, &status, 0);
    show_status("stack overflow", status);
}

static void fpu_handler(int signal) {
    (void)signal;
    __asm__ volatile("pxor %%xmm0, %%xmm0; pxor %%xmm7, %%xmm7" ::: "xmm0", "xmm7");
}

static void registers(void) {
    handle(SIGUSR1, fpu_handler, 0);
    double before = 1.25, after;
    long pid = getpid(), result;
    __asm__ volatile(
        "movsd %2, %%xmm7\n movl $62, %%eax\n movq %3, %%rdi\n movl $10, %%esi\n syscall\n"
        "movsd %%xmm7, %0\n movq %%rax, %1"
        : "=m"(after), "=r"(result)
        : "m"(before), "r"(pid)
        : "rax", "rcx", "r11", "rdi", "rsi", "xmm7", "memory");
    CHECK(after == before && result == 0);
}

static void descriptors(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = SHOW(signalfd(-1, &set, SFD_NONBLOCK));
    struct signalfd_siginfo info;
    SHOW(read(fd, &info, sizeof info));
    SHOW(read(fd, &info, 10));
    raise(SIGUSR1);
    SHOW(read(fd, &info, sizeof info));
    printf("signo %u code %d\n", info.ssi_signo, info.ssi_code);
    SHOW(signalfd(0, &set, 0));
    SHOW(signalfd(-1, &set, 99));
    close(fd);
}

int main(void) {
    actions();
    masks();
    interrupted();
    faults();
    registers();
    descriptors();
    return 0;
}
