/* mmap of files: what read and write see, private copies, ends, truncation, rights. */
#include "memory.h"

#define RW (PROT_READ | PROT_WRITE)

static char read_byte(int fd, off_t at)
{
    char byte = 0;
    if (pread(fd, &byte, 1, at) != 1)
        byte = -1;
    return byte;
}

static void shared_and_private(void)
{
    int fd = filled_file(3 * PAGE + 100);
    char *shared = mmap(NULL, 5 * PAGE, RW, MAP_SHARED, fd, 0);
    char *private = mmap(NULL, 5 * PAGE, RW, MAP_PRIVATE, fd, 0);
    char *second = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, PAGE);
    TRUE(shared[0] == 1 && shared[PAGE] == 2 && shared[3 * PAGE] == 4 && second[0] == 2);
    TRUE(private[0] == 1 && private[2 * PAGE] == 3);
    shared[0] = 9;
    TRUE(read_byte(fd, 0) == 9 && private[0] == 9);
    private[0] = 8;
    TRUE(read_byte(fd, 0) == 9 && shared[0] == 9 && private[0] == 8);
    TRUE(pwrite(fd, "A", 1, PAGE) == 1);
    TRUE(shared[PAGE] == 'A' && second[0] == 'A' && private[PAGE] == 'A');
    TRUE(shared[3 * PAGE + 99] == 4 && shared[3 * PAGE + 100] == 0);
    TEXT(READ(shared + 4 * PAGE));
    TEXT(WRITE(private + 4 * PAGE));
    shared[3 * PAGE + 200] = 7;
    TRUE(read_byte(fd, 3 * PAGE + 200) == -1);
    TRUE(IN_CHILD(shared[2 * PAGE] = 5; private[2 * PAGE] = 6; private[0]++) == 0);
    TRUE(shared[2 * PAGE] == 5 && private[2 * PAGE] == 5 && private[0] == 8);
    close(fd);
    TRUE(shared[0] == 9);
    SHOW(msync(shared, PAGE, MS_SYNC));
    SHOW(munmap(shared, 5 * PAGE));
    TRUE(private[0] == 8 && private[PAGE] == 'A');
}

static void truncation(void)
{
    int fd = filled_file(4 * PAGE);
    char *shared = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
    char *private = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, fd, 0);
    memset(shared, 1, 4 * PAGE);
    private[2 * PAGE] = 5;
    SHOW(ftruncate(fd, PAGE + 10));
    TEXT(READ(shared + 2 * PAGE));
    TEXT(READ(private + 2 * PAGE));
    TRUE(shared[PAGE + 9] == 1 && shared[PAGE + 10] == 0);
    SHOW(ftruncate(fd, 3 * PAGE));
    TRUE(shared[2 * PAGE] == 0 && private[2 * PAGE] == 0);
    TEXT(READ(shared + 3 * PAGE));
    close(fd);
}

static void errors(void)
{
    const char *path = "/tmp/mmap-file";
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    char page[PAGE];
    memset(page, 1, sizeof page);
    if (write(fd, page, sizeof page) != sizeof page)
        exit(1);
    int reader = open(path, O_RDONLY), writer = open(path, O_WRONLY);
    unlink(path);
    int directory = open("/tmp", O_RDONLY | O_DIRECTORY), ends[2];
    if (pipe(ends) != 0)
        exit(1);
    SHOW(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, writer, 0));
    SHOW(mmap(NULL, PAGE, PROT_WRITE, MAP_PRIVATE, writer, 0));
    SHOW(mmap(NULL, PAGE, RW, MAP_SHARED, reader, 0));
    SHOW(mmap(NULL, PAGE, RW, MAP_PRIVATE, reader, 0));
    SHOW(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, directory, 0));
    SHOW(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, ends[0], 0));
    SHOW(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 1));
    SHOW(mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE, fd, (off_t)(-PAGE)));
    SHOW(mmap(NULL, 0, PROT_READ, MAP_PRIVATE, fd, 0));
    SHOW(mmap(NULL, PAGE, PROT_READ, 0, fd, 0));
    SHOW(mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | (1 << 25), fd, 0));
    SHOW(mmap(NULL, PAGE, PROT_READ, MAP_SHARED | (1 << 25), fd, 0));
    SHOW(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_GROWSDOWN, fd, 0));
    char *at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, 0);
    SHOW(mprotect(at, PAGE, RW));
    SHOW(mprotect(at, PAGE, PROT_READ | PROT_EXEC));
    at = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, reader, 0);
    SHOW(mprotect(at, PAGE, RW));
    TEXT(WRITE(at));
    TRUE(read_byte(fd, 0) == 1);
    char *past = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 10 * PAGE);
    TEXT(READ(past));
}

/* System calls meet the same memory as the program. */
static void calls(void)
{
    int fd = filled_file(2 * PAGE);
    char *shared = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0);
    char *fresh = anonymous(3);
    TRUE(pread(fd, fresh + PAGE - 10, 20, PAGE - 10) == 20);
    TRUE(fresh[PAGE - 1] == 1 && fresh[PAGE] == 2);
    /* Reading the file into its own mapping. */
    TRUE(pread(fd, shared + 10, 5, PAGE) == 5);
    TRUE(shared[9] == 1 && shared[10] == 2 && shared[14] == 2 && shared[15] == 1);
    munmap(fresh + 2 * PAGE, PAGE);
    SHOW(read(fd, fresh + 2 * PAGE, 10));
    TRUE(pread(fd, fresh + 2 * PAGE - 4, 10, 0) == 4 || errno == EFAULT);
    mprotect(fresh, PAGE, PROT_READ);
    SHOW(pread(fd, fresh, 10, 0));
    SHOW(pwrite(fd, fresh + 2 * PAGE, 10, 0));
    SHOW(pwrite(fd, fresh, 10, 0));
    SHOW(write(fd, (void *)8, 1));
}

int main(void)
{
    catch_faults();
    shared_and_private();
    truncation();
    errors();
    calls();
    return 0;
}
