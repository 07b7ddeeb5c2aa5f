/* mremap: growing, shrinking, moving, leaving behind; and what it refuses. */
#include "memory.h"

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static char *numbered(size_t pages)
{
    char *at = anonymous(pages);
    for (size_t page = 0; page < pages; page++)
        at[page * PAGE] = (char)(page + 1);
    return at;
}

static void errors(void)
{
    char *at = numbered(4), *other = numbered(4);
    SHOW(mremap(at + 1, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
    SHOW(mremap(at, PAGE, 0, MREMAP_MAYMOVE));
    SHOW(mremap(at, PAGE, PAGE, 64));
    SHOW(mremap(at, PAGE, PAGE, MREMAP_FIXED, other));
    SHOW(mremap(at, PAGE, PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, other + 1));
    SHOW(mremap(at, 2 * PAGE, 2 * PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, at + PAGE));
    SHOW(mremap(at, PAGE, 2 * PAGE, MREMAP_DONTUNMAP | MREMAP_MAYMOVE));
    SHOW(mremap(at, PAGE, PAGE, MREMAP_DONTUNMAP));
    SHOW(mremap(at, 0, PAGE, MREMAP_MAYMOVE));
    SHOW(mremap(at, PAGE, 1UL << 47, MREMAP_MAYMOVE));
    munmap(other, 4 * PAGE);
    SHOW(mremap(other, PAGE, PAGE, MREMAP_MAYMOVE));
    SHOW(mremap(other, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
    munmap(at + 2 * PAGE, PAGE);
    SHOW(mremap(at, 4 * PAGE, 5 * PAGE, MREMAP_MAYMOVE));
    mprotect(at, PAGE, PROT_READ);
    SHOW(mremap(at, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE));
}

static void sizes(void)
{
    char *area = anonymous(16);
    munmap(area, 16 * PAGE);
    char *at = mmap(area, 4 * PAGE, RW, ANON | MAP_FIXED, -1, 0);
    at[0] = 1, at[3 * PAGE] = 4;
    TRUE(mremap(at, 4 * PAGE, 8 * PAGE, 0) == at);
    TRUE(at[0] == 1 && at[3 * PAGE] == 4 && at[7 * PAGE] == 0);
    TRUE(mremap(at, 8 * PAGE, 2 * PAGE, 0) == at);
    TEXT(READ(at + 2 * PAGE));
    TRUE(at[0] == 1);
    char *wall = mmap(at + 2 * PAGE, PAGE, PROT_NONE, ANON | MAP_FIXED, -1, 0);
    TRUE(wall == at + 2 * PAGE);
    SHOW(mremap(at, 2 * PAGE, 3 * PAGE, 0));
    char *moved = mremap(at, 2 * PAGE, 32 * PAGE, MREMAP_MAYMOVE);
    TRUE(moved != at && moved != MAP_FAILED && moved[0] == 1 && moved[31 * PAGE] == 0);
    TEXT(READ(at));
    TEXT(READ(wall));
    TEXT(WRITE(moved + 5 * PAGE));
}

static void places(void)
{
    char *at = numbered(6), *target = numbered(8);
    TRUE(mremap(at + PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target + PAGE) ==
         target + PAGE);
    TRUE(target[0] == 1 && target[PAGE] == 2 && target[2 * PAGE] == 3 && target[3 * PAGE] == 4);
    TEXT(READ(at + PAGE));
    TRUE(at[0] == 1 && at[3 * PAGE] == 4);
    char *left = numbered(2);
    char *away = mremap(left, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
    TRUE(away != MAP_FAILED && away != left && away[0] == 1 && away[PAGE] == 2);
    TRUE(left[0] == 0 && left[PAGE] == 0);
    TEXT(WRITE(left));
    TRUE(away[0] == 1);
    /* Smaller at another place. */
    char *big = numbered(4), *small = anonymous(1);
    TRUE(mremap(big, 4 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, small) == small);
    TRUE(small[0] == 1);
    TEXT(READ(big + 3 * PAGE));
}

static void shared(void)
{
    int fd = filled_file(4 * PAGE);
    char *at = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, PAGE);
    at[0] = 20;
    char *grown = mremap(at, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
    TRUE(grown[0] == 20 && grown[2 * PAGE] == 4);
    TEXT(READ(grown + 3 * PAGE));
    char *twin = mremap(grown, 0, 2 * PAGE, MREMAP_MAYMOVE);
    TRUE(twin != grown && twin[0] == 20);
    twin[0] = 21;
    TRUE(grown[0] == 21);
    char *anon = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    anon[0] = 5;
    anon = mremap(anon, PAGE, 3 * PAGE, MREMAP_MAYMOVE);
    TRUE(anon[0] == 5);
    TEXT(READ(anon + PAGE));
    /* A private copy moves with its mapping, also to a child. */
    char *private = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
    private[0] = 30;
    private = mremap(private, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
    TRUE(private[0] == 30 && private[1] == 1 && private[PAGE] == 21);
    TRUE(IN_CHILD(private[0]++; _exit(private[0])) == 31);
    TRUE(private[0] == 30);
}

int main(void)
{
    catch_faults();
    errors();
    sizes();
    places();
    shared();
    return 0;
}
