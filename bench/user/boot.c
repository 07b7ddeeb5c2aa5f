// The first program of a machine: says when it began, by the time stamp counter, and how much
// memory is free; then switches the machine off.
#include <stdio.h>
#include <sys/reboot.h>
#include <sys/sysinfo.h>
#include <unistd.h>

int main(void) {
    unsigned long long stamp = __builtin_ia32_rdtsc();
    struct sysinfo info;
    sysinfo(&info);
    printf("boot-stamp %llu \n", stamp);
    printf("boot-free-kib %llu \n", (unsigned long long)info.freeram * info.mem_unit / 1024);
    fflush(stdout);
    return reboot(RB_POWER_OFF);
}
