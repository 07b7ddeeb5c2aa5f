// Ways into the kernel that a 64-bit program does not have here, whatever Linux was built with:
// each ends in a signal, and none does anything. And the ports: who may ask is refused politely.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/io.h>
#include <sys/wait.h>
#include <unistd.h>

static int dies_of(void (*attempt)(void), int first, int second) {
    int status;
    pid_t child = fork();
    if (!child) {
        attempt();
        _exit(0);
    }
    waitpid(child, &status, 0);
    int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (signal == first || signal == second) return 1;
    printf("status %x\n", status);
    return 0;
}

static void int80(void) { __asm__ volatile("int $0x80" ::"a"(20) : "memory"); }
static void sysenter(void) { __asm__ volatile("sysenter" ::"a"(20) : "memory", "rcx", "rdx"); }
static void double_fault_gate(void) { __asm__ volatile("int $8"); }
static void timer_gate(void) { __asm__ volatile("int $0x20"); }
static void last_gate(void) { __asm__ volatile("int $0xff"); }
static void far_call(void) {
    static const struct __attribute__((packed)) {
        unsigned offset;
        unsigned short selector;
    } to = {0, 0x10};
    __asm__ volatile("lcall *%0" ::"m"(to));
}

int main(void) {
    int good = 1;
    good &= dies_of(int80, SIGSEGV, SIGSEGV);
    good &= dies_of(sysenter, SIGSEGV, SIGILL);
    good &= dies_of(double_fault_gate, SIGSEGV, SIGSEGV);
    good &= dies_of(timer_gate, SIGSEGV, SIGSEGV);
    good &= dies_of(last_gate, SIGSEGV, SIGSEGV);
    good &= dies_of(far_call, SIGSEGV, SIGSEGV);
    int granted = !iopl(3), error = errno;
    if (granted || (error != EPERM && error != ENOSYS)) good = 0, printf("iopl: %d\n", error);
    granted = !ioperm(0x80, 1, 1), error = errno;
    if (granted || (error != EPERM && error != ENOSYS)) good = 0, printf("ioperm: %d\n", error);
    puts(good ? "ok" : "not as it should be");
    return !good;
}
