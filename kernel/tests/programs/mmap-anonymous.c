/* mmap, munmap and mprotect of anonymous memory: errors, places, rights, splitting. */
#include "memory.h"

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)

static void errors(void)
{
    SHOW(mmap(NULL, 0, RW, ANON, -1, 0));
    SHOW(mmap(NULL, -1UL, RW, ANON, -1, 0));
    SHOW(mmap(NULL, 1UL << 47, RW, ANON, -1, 0));
    SHOW(mmap(NULL, 1UL << 46, RW, ANON, -1, 0));
    SHOW(mmap(NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0));
    SHOW(mmap(NULL, PAGE, RW, MAP_ANONYMOUS | MAP_SHARED_VALIDATE, -1, 0));
    SHOW(mmap(NULL, PAGE, RW, MAP_ANONYMOUS | MAP_SHARED | MAP_GROWSDOWN, -1, 0));
    SHOW(mmap((void *)123, PAGE, RW, ANON | MAP_FIXED, -1, 0));
    SHOW(mmap((void *)0x7ffffffff000, PAGE, RW, ANON | MAP_FIXED, -1, 0));
    SHOW(mmap((void *)0xffff800000000000, PAGE, RW, ANON | MAP_FIXED, -1, 0));
    SHOW(syscall(SYS_mmap, NULL, PAGE, RW, ANON, -1, 1L));
    SHOW(mmap(NULL, PAGE, RW, MAP_PRIVATE, -1, 0));
    SHOW(mmap(NULL, PAGE, RW, MAP_PRIVATE, 1000, 0));
    SHOW(munmap((void *)PAGE, 0));
    SHOW(munmap((void *)1, PAGE));
    SHOW(munmap((void *)PAGE, -1UL));
    SHOW(munmap((void *)(1UL << 47), PAGE));
    char *at = anonymous(2);
    SHOW(munmap(at, 2 * PAGE));
    SHOW(munmap(at, 2 * PAGE));
    SHOW(mprotect(at, PAGE, PROT_READ));
    at = anonymous(3);
    SHOW(mprotect(at + 1, PAGE, PROT_READ));
    SHOW(mprotect(at, 0, PROT_READ));
    SHOW(mprotect(at, PAGE, 0x40));
    SHOW(mprotect(at, PAGE, PROT_GROWSDOWN | PROT_READ));
    SHOW(mprotect(at, PAGE, PROT_GROWSDOWN | PROT_GROWSUP));
    SHOW(mprotect(at, -PAGE, PROT_READ));
    munmap(at + PAGE, PAGE);
    SHOW(mprotect(at, 3 * PAGE, PROT_READ));
    TEXT(WRITE(at));
    TEXT(WRITE(at + 2 * PAGE));
}

static void places(void)
{
    char *at = anonymous(8);
    munmap(at, 8 * PAGE);
    TRUE(mmap(at, PAGE, RW, ANON, -1, 0) == at);
    TRUE(mmap(at + 100, PAGE, RW, ANON, -1, 0) != at);
    TRUE(mmap(at + 2 * PAGE + 5, PAGE, RW, ANON, -1, 0) == at + 2 * PAGE);
    SHOW(mmap(at, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
    TRUE(mmap(at + PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == at + PAGE);
    at[0] = 7;
    TRUE(mmap(at, PAGE, RW, ANON | MAP_FIXED, -1, 0) == at);
    TRUE(at[0] == 0);
    char *low = mmap(NULL, 16 * PAGE, RW, ANON | MAP_32BIT, -1, 0);
    TRUE((uintptr_t)low < 1UL << 31);
    char *next = mmap(NULL, PAGE, RW, ANON, -1, 0);
    char *below = mmap(NULL, PAGE, RW, ANON, -1, 0);
    TRUE(next != below && (uintptr_t)next % PAGE == 0);
}

static void rights(void)
{
    char *at = anonymous(4);
    TRUE(at[0] == 0 && at[4 * PAGE - 1] == 0);
    memset(at, 5, 4 * PAGE);
    SHOW(mprotect(at + PAGE, PAGE, PROT_NONE));
    TEXT(READ(at + PAGE));
    TEXT(WRITE(at + PAGE + 100));
    TEXT(READ(at + PAGE - 1));
    SHOW(mprotect(at + PAGE, PAGE, PROT_READ));
    TRUE(at[PAGE] == 5);
    TEXT(WRITE(at + PAGE));
    SHOW(mprotect(at + PAGE, PAGE, RW));
    TEXT(WRITE(at + PAGE));
    TRUE(at[PAGE] == 1 && at[PAGE + 1] == 5);
    SHOW(munmap(at + PAGE, PAGE));
    TEXT(READ(at + PAGE));
    TRUE(at[0] == 5 && at[2 * PAGE] == 5);
    char *only = mmap(NULL, PAGE, PROT_WRITE, ANON, -1, 0);
    TEXT(WRITE(only));
    TEXT(READ(only));
    char *none = mmap(NULL, PAGE, PROT_NONE, ANON, -1, 0);
    TEXT(READ(none));
    char *fresh = anonymous(2);
    TRUE(fresh[10] == 0);
    TEXT(WRITE(fresh + 10));
    TRUE(fresh[10] == 1 && fresh[11] == 0);
    TEXT(READ(8));
    TEXT(WRITE(0xffffffffff600000));
}

static void execution(void)
{
    /* mov eax, 42; ret */
    static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};
    char *at = anonymous(1);
    memcpy(at, code, sizeof code);
    if (sigsetjmp(escape, 1) == 0) {
        ((int (*)(void))at)();
        puts("executed data");
    } else {
        printf("execute data: code %d, right address %d\n", fault_code, fault_at == at);
    }
    SHOW(mprotect(at, PAGE, PROT_READ | PROT_EXEC));
    TRUE(((int (*)(void))at)() == 42);
    TEXT(WRITE(at));
}

static void sharing(void)
{
    volatile char *shared = mmap(NULL, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    volatile char *own = anonymous(3);
    own[0] = shared[0] = 1;
    (void)own[PAGE];
    TRUE(IN_CHILD(own[0] = shared[0] = 2; shared[PAGE] = 3; own[PAGE] = 4;
                  if (own[0] != 2 || own[PAGE + 1] != 0) _exit(1)) == 0);
    TRUE(shared[0] == 2 && shared[PAGE] == 3);
    TRUE(own[0] == 1 && own[PAGE] == 0);
    /* The parent writes while the child still shares the page. */
    int ready[2];
    if (pipe(ready) != 0)
        exit(1);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        if (read(ready[0], &byte, 1) != 1)
            _exit(9);
        _exit(own[0]);
    }
    own[0] = 8;
    if (write(ready[1], "x", 1) != 1)
        exit(1);
    int status;
    waitpid(child, &status, 0);
    TRUE(WEXITSTATUS(status) == 1 && own[0] == 8);
    /* A grandchild shares with both. */
    TRUE(IN_CHILD(own[0] = 3; int inner = IN_CHILD(own[0] = 4; _exit(own[0]));
                  _exit(inner == 4 && own[0] == 3 ? 0 : 1)) == 0);
    TRUE(own[0] == 8);
}

static void limits(void)
{
    struct rlimit old, limit;
    getrlimit(RLIMIT_AS, &old);
    limit = (struct rlimit){.rlim_cur = 64 << 20, .rlim_max = old.rlim_max};
    setrlimit(RLIMIT_AS, &limit);
    SHOW(mmap(NULL, 128 << 20, RW, ANON, -1, 0));
    SHOW(mmap(NULL, 1 << 20, RW, ANON, -1, 0));
    setrlimit(RLIMIT_AS, &old);
    getrlimit(RLIMIT_DATA, &old);
    limit = (struct rlimit){.rlim_cur = 16 << 20, .rlim_max = old.rlim_max};
    setrlimit(RLIMIT_DATA, &limit);
    SHOW(mmap(NULL, 32 << 20, RW, ANON, -1, 0));
    char *read_only = mmap(NULL, 32 << 20, PROT_READ, ANON, -1, 0);
    TRUE(read_only != MAP_FAILED);
    SHOW(mprotect(read_only, 32 << 20, RW));
    SHOW(mmap(NULL, 32 << 20, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    setrlimit(RLIMIT_DATA, &old);
}

int main(void)
{
    catch_faults();
    errors();
    places();
    rights();
    execution();
    sharing();
    limits();
    return 0;
}
