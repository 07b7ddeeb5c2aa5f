/* madvise, mlock and its family, mincore, msync, membarrier. */
#include "memory.h"
#include <linux/membarrier.h>

#define RW (PROT_READ | PROT_WRITE)

static void advice(void)
{
    char *at = anonymous(4);
    memset(at, 7, 4 * PAGE);
    SHOW(madvise(at + 1, PAGE, MADV_DONTNEED));
    SHOW(madvise(at, PAGE, 77));
    SHOW(madvise(at, 0, MADV_DONTNEED));
    SHOW(madvise(at, -1UL, MADV_DONTNEED));
    SHOW(madvise(at + PAGE, 2 * PAGE - 1, MADV_DONTNEED));
    TRUE(at[0] == 7 && at[PAGE] == 0 && at[2 * PAGE] == 0 && at[3 * PAGE] == 7);
    SHOW(madvise(at, 4 * PAGE, MADV_NORMAL));
    SHOW(madvise(at, PAGE, MADV_RANDOM));
    SHOW(madvise(at, PAGE, MADV_SEQUENTIAL));
    SHOW(madvise(at, PAGE, MADV_WILLNEED));
    SHOW(madvise(at, PAGE, MADV_COLD));
    SHOW(madvise(at, PAGE, MADV_PAGEOUT));
    SHOW(madvise(at, PAGE, MADV_HUGEPAGE));
    SHOW(madvise(at, PAGE, MADV_NOHUGEPAGE));
    SHOW(madvise(at, PAGE, MADV_DONTDUMP));
    SHOW(madvise(at, PAGE, MADV_DODUMP));
    SHOW(madvise(at, PAGE, MADV_REMOVE));
    TRUE(at[0] == 7);
    SHOW(madvise(at, PAGE, MADV_FREE));
    munmap(at + PAGE, PAGE);
    SHOW(madvise(at, 3 * PAGE, MADV_DONTNEED));
    TRUE(at[2 * PAGE] == 0);
    SHOW(madvise(at, 3 * PAGE, MADV_POPULATE_READ));
    SHOW(madvise(at + 2 * PAGE, 2 * PAGE, MADV_POPULATE_WRITE));
    mprotect(at + 2 * PAGE, PAGE, PROT_READ);
    SHOW(madvise(at + 2 * PAGE, PAGE, MADV_POPULATE_WRITE));
    SHOW(madvise(at + 2 * PAGE, PAGE, MADV_POPULATE_READ));
    mprotect(at + 2 * PAGE, PAGE, PROT_NONE);
    SHOW(madvise(at + 2 * PAGE, PAGE, MADV_POPULATE_READ));
}

static void forks(void)
{
    char *kept = anonymous(1), *wiped = anonymous(1), *gone = anonymous(1);
    kept[0] = wiped[0] = gone[0] = 3;
    SHOW(madvise(wiped, PAGE, MADV_WIPEONFORK));
    SHOW(madvise(gone, PAGE, MADV_DONTFORK));
    int status = IN_CHILD(TRUE(kept[0] == 3); TRUE(wiped[0] == 0); TEXT(READ(gone)));
    TRUE(status == 0 && wiped[0] == 3 && gone[0] == 3);
    SHOW(madvise(wiped, PAGE, MADV_KEEPONFORK));
    SHOW(madvise(gone, PAGE, MADV_DOFORK));
    status = IN_CHILD(TRUE(wiped[0] == 3); TRUE(gone[0] == 3));
    TRUE(status == 0);
    char *shared = mmap(NULL, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared[0] = shared[PAGE] = 4;
    SHOW(madvise(shared, PAGE, MADV_WIPEONFORK));
    SHOW(madvise(shared, PAGE, MADV_FREE));
    SHOW(madvise(shared, PAGE, MADV_DONTNEED));
    TRUE(shared[0] == 4);
    SHOW(madvise(shared, PAGE, MADV_REMOVE));
    TRUE(shared[0] == 0 && shared[PAGE] == 4);
}

static void files(void)
{
    int fd = filled_file(3 * PAGE);
    char *private = mmap(NULL, 3 * PAGE, RW, MAP_PRIVATE, fd, 0);
    char *shared = mmap(NULL, 3 * PAGE, RW, MAP_SHARED, fd, 0);
    private[0] = 50;
    shared[PAGE] = 60;
    SHOW(madvise(private, 3 * PAGE, MADV_DONTNEED));
    SHOW(madvise(shared, 3 * PAGE, MADV_DONTNEED));
    TRUE(private[0] == 1 && shared[PAGE] == 60 && private[PAGE] == 60);
    SHOW(madvise(private, PAGE, MADV_WILLNEED));
    SHOW(madvise(private, PAGE, MADV_FREE));
    SHOW(msync(shared, 3 * PAGE, MS_SYNC));
    SHOW(msync(shared, 3 * PAGE, MS_ASYNC | MS_INVALIDATE));
    SHOW(msync(shared, 3 * PAGE, MS_ASYNC | MS_SYNC));
    SHOW(msync(shared, 3 * PAGE, 8));
    SHOW(msync(shared + 1, PAGE, MS_SYNC));
    SHOW(msync(shared, 0, MS_SYNC));
    SHOW(msync(shared, -PAGE, MS_SYNC));
    munmap(shared + PAGE, PAGE);
    SHOW(msync(shared, 3 * PAGE, MS_SYNC));
    unsigned char present[4] = {9, 9, 9, 9};
    TRUE(private[0] == 1 && private[2 * PAGE] == 3);
    SHOW(mincore(private, 3 * PAGE, present));
    TRUE((present[0] & 1) == 1 && (present[2] & 1) == 1 && present[3] == 9);
    char *fresh = anonymous(2);
    fresh[0] = 1;
    SHOW(mincore(fresh, 2 * PAGE, present));
    TRUE((present[0] & 1) == 1 && (present[1] & 1) == 0);
    SHOW(mincore(fresh + 1, PAGE, present));
    SHOW(mincore(fresh, 0, present));
    SHOW(mincore(fresh, PAGE, (void *)8));
    munmap(fresh + PAGE, PAGE);
    SHOW(mincore(fresh, 2 * PAGE, present));
}

static void locks(void)
{
    char *at = anonymous(4);
    unsigned char present[4];
    SHOW(mlock(at + 10, 2 * PAGE));
    mincore(at, 4 * PAGE, present);
    TRUE((present[0] & present[1] & present[2] & 1) == 1 && (present[3] & 1) == 0);
    SHOW(madvise(at, PAGE, MADV_DONTNEED));
    SHOW(msync(at, PAGE, MS_INVALIDATE));
    SHOW(munlock(at, 4 * PAGE));
    SHOW(madvise(at, PAGE, MADV_DONTNEED));
    SHOW(mlock(at, 0));
    SHOW(syscall(SYS_mlock2, at, PAGE, 2));
    SHOW(syscall(SYS_mlock2, at, PAGE, 1));
    SHOW(mlock((void *)-PAGE, 2 * PAGE));
    munmap(at + PAGE, PAGE);
    SHOW(mlock(at, 4 * PAGE));
    SHOW(munlock(at, 4 * PAGE));
    SHOW(mlockall(0));
    SHOW(mlockall(8));
    SHOW(mlockall(4));
    SHOW(mlockall(MCL_FUTURE));
    at = anonymous(2);
    mincore(at, 2 * PAGE, present);
    TRUE((present[0] & present[1] & 1) == 1);
    SHOW(munlockall());
    at = anonymous(2);
    mincore(at, 2 * PAGE, present);
    TRUE((present[0] & 1) == 0);
    /* Without the privilege the limit counts. */
    struct rlimit limit = {.rlim_cur = 2 * PAGE, .rlim_max = 2 * PAGE};
    setrlimit(RLIMIT_MEMLOCK, &limit);
    if (setuid(65534) != 0)
        exit(1);
    char *more = anonymous(4);
    SHOW(mlock(more, 2 * PAGE));
    SHOW(mlock(more, 2 * PAGE));
    SHOW(mlock(more, 3 * PAGE));
    SHOW(mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0));
    SHOW(mlockall(MCL_CURRENT));
    limit.rlim_cur = limit.rlim_max = 0;
    setrlimit(RLIMIT_MEMLOCK, &limit);
    SHOW(mlock(more, PAGE));
    SHOW(mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0));
}

static void barriers(void)
{
    SHOW(syscall(SYS_membarrier, 1 << 20, 0, 0));
    SHOW(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 5, 0));
    long offered = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    TRUE(offered >= 0);
    if (offered & MEMBARRIER_CMD_GLOBAL)
        TRUE(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0);
    else
        printf("%-60s yes\n", "syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0");
}

int main(void)
{
    catch_faults();
    advice();
    forks();
    files();
    barriers();
    locks();
    return 0;
}
