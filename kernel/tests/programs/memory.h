/* What the memory tests share: results in words, and whether an address can be touched. */
#ifndef MEMORY_H
#define MEMORY_H

#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

#define PAGE 4096UL

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

static sigjmp_buf escape;
static volatile sig_atomic_t fault_signal;
static volatile int fault_code;
static void *volatile fault_at;

static void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)context;
    fault_signal = signal;
    fault_code = info->si_code;
    fault_at = info->si_addr;
    siglongjmp(escape, 1);
}

static inline void catch_faults(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

/* How touching an address ends: "ok", or the signal, its code, and whether si_addr is right. */
static inline const char *touch(volatile char *at, int write)
{
    static char text[64];
    if (sigsetjmp(escape, 1)) {
        snprintf(text, sizeof text, "%s code %d%s", fault_signal == SIGBUS ? "SIGBUS" : "SIGSEGV",
                 fault_code, fault_at == (void *)at ? "" : " elsewhere");
        return text;
    }
    if (write)
        *at = 1;
    else
        (void)*at;
    return "ok";
}

#define READ(at) touch((volatile char *)(at), 0)
#define WRITE(at) touch((volatile char *)(at), 1)

static inline const char *error_name(int error)
{
    switch (error) {
    case 0: return "ok";
    case EPERM: return "EPERM";
    case EINVAL: return "EINVAL";
    case ENOMEM: return "ENOMEM";
    case EACCES: return "EACCES";
    case EBADF: return "EBADF";
    case EEXIST: return "EEXIST";
    case EFAULT: return "EFAULT";
    case EAGAIN: return "EAGAIN";
    case EBUSY: return "EBUSY";
    case ENODEV: return "ENODEV";
    case EOVERFLOW: return "EOVERFLOW";
    case EOPNOTSUPP: return "EOPNOTSUPP";
    case ETXTBSY: return "ETXTBSY";
    case ENOSYS: return "ENOSYS";
    default: return "another error";
    }
}

/* A call's result: "ok" or the error's name. */
#define RESULT(call) ((errno = 0), (long)(call) == -1 ? error_name(errno) : "ok")

#define SHOW(call) printf("%-60s %s\n", #call, RESULT(call))
#define TEXT(expression) printf("%-60s %s\n", #expression, expression)
#define TRUE(expression) printf("%-60s %s\n", #expression, (expression) ? "yes" : "no")

static inline char *anonymous(size_t pages)
{
    char *at = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return at;
}

/* An open file of some length without a name, each page filled with its number. */
static inline int filled_file(size_t bytes)
{
    char name[] = "/tmp/memory-XXXXXX";
    int fd = mkstemp(name);
    if (fd < 0) {
        perror("mkstemp");
        exit(1);
    }
    unlink(name);
    for (size_t done = 0; done < bytes;) {
        char page[PAGE];
        size_t len = bytes - done < PAGE ? bytes - done : PAGE;
        memset(page, (int)(done / PAGE) + 1, sizeof page);
        if (write(fd, page, len) != (ssize_t)len) {
            perror("write");
            exit(1);
        }
        done += len;
    }
    return fd;
}

/* Exit status of a child that runs a statement. */
#define IN_CHILD(statement)                                                                        \
    ({                                                                                             \
        fflush(stdout);                                                                            \
        pid_t child = fork();                                                                      \
        if (child == 0) {                                                                          \
            statement;                                                                             \
            fflush(stdout);                                                                        \
            _exit(0);                                                                              \
        }                                                                                          \
        int status;                                                                                \
        waitpid(child, &status, 0);                                                                \
        WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);                        \
    })

#endif
