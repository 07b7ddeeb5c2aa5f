// Asks for more memory than there is, then touches more than there is: the first must be refused,
// the second must end with this program killed, and not another.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

int main(void) {
    struct sysinfo info;
    sysinfo(&info);
    size_t all = info.totalram * info.mem_unit;
    void *much = mmap(0, all * 4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("four times the memory: %s\n", much == MAP_FAILED ? strerror(errno) : "mapped");
    // Each is less than all, and is not refused; together they are more.
    for (int n = 0; n < 8; n++) {
        char *part = mmap(0, all / 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (part == MAP_FAILED) return printf("part %d: %s\n", n, strerror(errno)), 1;
        printf("part %d\n", n);
        fflush(stdout);
        memset(part, 1, all / 2);
    }
    puts("it has eight times what there is");
    return 0;
}
