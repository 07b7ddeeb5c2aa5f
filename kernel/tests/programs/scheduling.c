// Policies, priorities, nice values, affinity, I/O priorities, and who may change whose.
#include "check.h"
#include <sched.h>
#include <sys/resource.h>

struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t util_min, util_max;
};

static int set_policy(pid_t pid, int policy, int priority) {
    struct sched_param param = {.sched_priority = priority};
    return syscall(SYS_sched_setscheduler, pid, policy, &param);
}

static int get_policy(pid_t pid) {
    return syscall(SYS_sched_getscheduler, pid);
}

static int priority_of(pid_t pid) {
    struct sched_param param = {.sched_priority = -1};
    return syscall(SYS_sched_getparam, pid, &param) ? -1 : param.sched_priority;
}

static void show_attributes(const char *what) {
    struct attributes a = {0};
    long result = syscall(SYS_sched_getattr, 0, &a, 48, 0);
    printf("%s: %ld size %u policy %u flags %llx nice %d priority %u\n", what, result, a.size, a.policy, (unsigned long long)a.flags, a.nice, a.priority);
    fflush(stdout);
}

static void policies(void) {
    struct sched_param param = {.sched_priority = 0};
    for (int policy = -1; policy < 7; policy++)
        printf("policy %d: %d to %d\n", policy, sched_get_priority_min(policy), sched_get_priority_max(policy));
    SHOW(get_policy(0));
    SHOW(get_policy(-1));
    SHOW(get_policy(99999));
    SHOW(set_policy(0, SCHED_FIFO, 0));
    SHOW(set_policy(0, SCHED_FIFO, 100));
    SHOW(set_policy(0, SCHED_FIFO, 10));
    SHOW(get_policy(0));
    SHOW(priority_of(0));
    param.sched_priority = 20;
    SHOW(syscall(SYS_sched_setparam, 0, &param));
    SHOW(priority_of(0));
    param.sched_priority = 0;
    SHOW(syscall(SYS_sched_setparam, 0, &param));
    SHOW(syscall(SYS_sched_setparam, 0, NULL));
    SHOW(syscall(SYS_sched_setparam, 0, wild));
    SHOW(syscall(SYS_sched_setparam, -1, &param));
    SHOW(syscall(SYS_sched_setparam, 99999, &param));
    SHOW(syscall(SYS_sched_getparam, 0, NULL));
    SHOW(syscall(SYS_sched_getparam, 0, wild));
    show_attributes("fifo");
    SHOW(set_policy(0, SCHED_RR | SCHED_RESET_ON_FORK, 5));
    SHOW(get_policy(0));
    show_attributes("round robin");
    fflush(stdout);
    int status;
    if (!fork()) _exit(get_policy(0));
    wait(&status);
    show_status("policy of a child", status);
    struct timespec t = {7, 7};
    SHOW(syscall(SYS_sched_rr_get_interval, 0, &t));
    printf("%ld.%09ld\n", (long)t.tv_sec, t.tv_nsec);
    SHOW(syscall(SYS_sched_rr_get_interval, -1, &t));
    SHOW(syscall(SYS_sched_rr_get_interval, 99999, &t));
    SHOW(syscall(SYS_sched_rr_get_interval, 0, wild));
    SHOW(set_policy(0, SCHED_FIFO, 5));
    SHOW(syscall(SYS_sched_rr_get_interval, 0, &t));
    printf("%ld.%09ld\n", (long)t.tv_sec, t.tv_nsec);
    SHOW(set_policy(0, SCHED_BATCH, 0));
    SHOW(get_policy(0));
    SHOW(set_policy(0, SCHED_BATCH, 1));
    SHOW(set_policy(0, SCHED_IDLE, 0));
    SHOW(get_policy(0));
    SHOW(set_policy(0, SCHED_OTHER, 0));
    SHOW(set_policy(0, 4, 0));
    SHOW(set_policy(0, -1, 0));
    SHOW(set_policy(0, 77, 0));
    SHOW(set_policy(-1, SCHED_OTHER, 0));
    SHOW(set_policy(99999, SCHED_OTHER, 0));
    SHOW(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, NULL));
    SHOW(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, wild));
    SHOW(sched_yield());
}

static void attributes(void) {
    struct attributes a = {.size = 48, .policy = SCHED_OTHER, .nice = 7};
    SHOW(syscall(SYS_sched_setattr, 0, &a, 0));
    show_attributes("nice 7");
    SHOW(getpriority(PRIO_PROCESS, 0));
    a.policy = SCHED_FIFO;
    a.priority = 30;
    SHOW(syscall(SYS_sched_setattr, 0, &a, 0));
    show_attributes("fifo");
    a.policy = SCHED_OTHER;
    SHOW(syscall(SYS_sched_setattr, 0, &a, 0));
    a.priority = 0;
    a.nice = 99;
    SHOW(syscall(SYS_sched_setattr, 0, &a, 0));
    show_attributes("nice 99");
    a.nice = 0;
    a.flags = 1;
    SHOW(syscall(SYS_sched_setattr, 0, &a, 0));
    show_attributes("reset on fork");
    a.flags = 1 << 20;
    SHOW(syscall(SYS_sched_setattr, 0, &a, 0));
    a.flags = 0;
    SHOW(syscall(SYS_sched_setattr, 0, &a, 1));
    SHOW(syscall(SYS_sched_setattr, 0, NULL, 0));
    SHOW(syscall(SYS_sched_setattr, 0, wild, 0));
    SHOW(syscall(SYS_sched_setattr, -1, &a, 0));
    SHOW(syscall(SYS_sched_setattr, 99999, &a, 0));
    a.size = 47;
    SHOW(syscall(SYS_sched_setattr, 0, &a, 0));
    SHOW(a.size >= 48);
    a.size = 0;
    SHOW(syscall(SYS_sched_setattr, 0, &a, 0));
    a.size = 5000;
    SHOW(syscall(SYS_sched_setattr, 0, &a, 0));
    a.size = 48;
    a.policy = 77;
    SHOW(syscall(SYS_sched_setattr, 0, &a, 0));
    SHOW(syscall(SYS_sched_getattr, 0, &a, 47, 0));
    SHOW(syscall(SYS_sched_getattr, 0, &a, 5000, 0));
    SHOW(syscall(SYS_sched_getattr, 0, &a, 48, 1));
    SHOW(syscall(SYS_sched_getattr, 0, NULL, 48, 0));
    SHOW(syscall(SYS_sched_getattr, 0, wild, 48, 0));
    SHOW(syscall(SYS_sched_getattr, -1, &a, 48, 0));
    SHOW(syscall(SYS_sched_getattr, 99999, &a, 48, 0));
}

static void niceness(void) {
    SHOW(getpriority(PRIO_PROCESS, 0));
    SHOW(syscall(SYS_getpriority, PRIO_PROCESS, 0));
    SHOW(setpriority(PRIO_PROCESS, 0, 10));
    SHOW(syscall(SYS_getpriority, PRIO_PROCESS, 0));
    SHOW(setpriority(PRIO_PROCESS, 0, 100));
    SHOW(getpriority(PRIO_PROCESS, 0));
    SHOW(setpriority(PRIO_PROCESS, 0, -100));
    SHOW(getpriority(PRIO_PROCESS, 0));
    SHOW(setpriority(3, 0, 0));
    SHOW(getpriority(-1, 0));
    SHOW(setpriority(PRIO_PROCESS, 99999, 0));
    SHOW(getpriority(PRIO_PGRP, 99999));
    SHOW(getpriority(PRIO_USER, 4242));
    SHOW(setpriority(PRIO_USER, 4242, 1));
    fflush(stdout);
    // A group as a whole: the best of its members is shown.
    int fds[2], gone[2];
    char c;
    pipe(fds);
    pipe(gone);
    setpgid(0, 0);
    pid_t child = fork();
    if (!child) {
        setpriority(PRIO_PROCESS, 0, 3);
        write(fds[1], "r", 1);
        close(gone[1]);
        read(gone[0], &c, 1);
        exit(0);
    }
    read(fds[0], &c, 1);
    setpriority(PRIO_PROCESS, 0, 8);
    SHOW(getpriority(PRIO_PGRP, 0));
    SHOW(setpriority(PRIO_PGRP, 0, 6));
    SHOW(getpriority(PRIO_PROCESS, child));
    SHOW(getpriority(PRIO_PROCESS, 0));
    SHOW(setuid(1000));
    SHOW(setpriority(PRIO_PROCESS, child, 12));
    SHOW(setpriority(PRIO_PROCESS, 0, 5));
    SHOW(setpriority(PRIO_PROCESS, 0, 7));
    SHOW(set_policy(0, SCHED_FIFO, 1));
    SHOW(set_policy(0, SCHED_BATCH, 0));
    SHOW(set_policy(0, SCHED_IDLE, 0));
    SHOW(set_policy(0, SCHED_OTHER, 0));
    SHOW(set_policy(child, SCHED_BATCH, 0));
    SHOW(set_policy(1, SCHED_OTHER, 0));
    SHOW(get_policy(1));
    SHOW(kill(child, SIGKILL));
}

static void affinity(void) {
    unsigned long mask[16] = {0}, all[16] = {0};
    long size = syscall(SYS_sched_getaffinity, 0, sizeof all, all);
    CHECK(size > 0 && size <= (long)sizeof all && size % 8 == 0);
    SHOW(syscall(SYS_sched_getaffinity, 0, 7, mask));
    SHOW(syscall(SYS_sched_getaffinity, 0, 0, mask));
    SHOW(syscall(SYS_sched_getaffinity, 0, sizeof all, wild));
    SHOW(syscall(SYS_sched_getaffinity, -1, sizeof all, mask));
    mask[0] = 1;
    SHOW(syscall(SYS_sched_setaffinity, 0, sizeof mask, mask));
    unsigned cpu = 77, node = 77;
    SHOW(syscall(SYS_getcpu, &cpu, &node, NULL));
    printf("cpu %u node %u\n", cpu, node);
    SHOW(sched_getcpu());
    SHOW(syscall(SYS_getcpu, NULL, NULL, NULL));
    SHOW(syscall(SYS_getcpu, wild, NULL, NULL));
    mask[0] = 0;
    SHOW(syscall(SYS_sched_setaffinity, 0, sizeof mask, mask));
    mask[15] = 1UL << 63;
    SHOW(syscall(SYS_sched_setaffinity, 0, sizeof mask, mask));
    SHOW(syscall(SYS_sched_setaffinity, 0, 0, mask));
    SHOW(syscall(SYS_sched_setaffinity, 0, sizeof mask, wild));
    SHOW(syscall(SYS_sched_setaffinity, 99999, sizeof mask, mask));
    // What is beyond the machine is ignored if something is left.
    mask[0] = all[0];
    SHOW(syscall(SYS_sched_setaffinity, 0, sizeof mask, mask));
    memset(mask, 0, sizeof mask);
    syscall(SYS_sched_getaffinity, 0, sizeof mask, mask);
    CHECK(mask[0] == all[0] && mask[15] == 0);
    // The last CPU there is.
    int last = 63 - __builtin_clzl(all[0]);
    mask[0] = 1UL << last;
    SHOW(syscall(SYS_sched_setaffinity, 0, 8, mask));
    CHECK(sched_getcpu() == last);
    fflush(stdout);
    int status;
    if (!fork()) _exit(sched_getcpu() == last);
    wait(&status);
    show_status("a child is there too", status);
    SHOW(syscall(SYS_sched_setaffinity, 0, sizeof all, all));
    setuid(1000);
    SHOW(syscall(SYS_sched_setaffinity, 1, sizeof all, all));
    SHOW(syscall(SYS_sched_setaffinity, 0, sizeof all, all));
}

static int io_priority(int class, int data) {
    return class << 13 | data;
}

static void io_priorities(void) {
    enum { PROCESS = 1, GROUP, USER };
    SHOW(syscall(SYS_ioprio_get, PROCESS, 0));
    SHOW(syscall(SYS_ioprio_set, PROCESS, 0, io_priority(2, 6)));
    SHOW(syscall(SYS_ioprio_get, PROCESS, 0));
    fflush(stdout);
    int status;
    if (!fork()) _exit(syscall(SYS_ioprio_get, PROCESS, 0) == io_priority(2, 6));
    wait(&status);
    show_status("a child has it", status);
    SHOW(syscall(SYS_ioprio_set, PROCESS, 0, io_priority(1, 3)));
    SHOW(syscall(SYS_ioprio_get, PROCESS, getpid()));
    SHOW(syscall(SYS_ioprio_set, PROCESS, 0, io_priority(3, 0)));
    SHOW(syscall(SYS_ioprio_get, PROCESS, 0));
    SHOW(syscall(SYS_ioprio_set, PROCESS, 0, io_priority(3, 5)));
    SHOW(syscall(SYS_ioprio_get, PROCESS, 0));
    SHOW(syscall(SYS_ioprio_set, PROCESS, 0, io_priority(0, 1)));
    SHOW(syscall(SYS_ioprio_set, PROCESS, 0, io_priority(2, 8)));
    SHOW(syscall(SYS_ioprio_set, PROCESS, 0, io_priority(4, 0)));
    SHOW(syscall(SYS_ioprio_set, PROCESS, 0, io_priority(0, 0)));
    SHOW(syscall(SYS_ioprio_get, PROCESS, 0));
    SHOW(syscall(SYS_ioprio_get, 9, 0));
    SHOW(syscall(SYS_ioprio_set, 0, 0, io_priority(2, 4)));
    SHOW(syscall(SYS_ioprio_get, PROCESS, 99999));
    SHOW(syscall(SYS_ioprio_set, PROCESS, 99999, io_priority(2, 4)));
    SHOW(syscall(SYS_ioprio_get, GROUP, 99999));
    SHOW(syscall(SYS_ioprio_get, USER, 4242));
    SHOW(syscall(SYS_ioprio_set, USER, 4242, io_priority(2, 4)));
    setpgid(0, 0);
    SHOW(syscall(SYS_ioprio_set, GROUP, 0, io_priority(2, 1)));
    SHOW(syscall(SYS_ioprio_get, GROUP, 0));
    setpriority(PRIO_PROCESS, 0, 10);
    SHOW(syscall(SYS_ioprio_set, PROCESS, 0, 0));
    SHOW(syscall(SYS_ioprio_get, PROCESS, 0));
    setuid(1000);
    SHOW(syscall(SYS_ioprio_set, PROCESS, 0, io_priority(1, 3)));
    SHOW(syscall(SYS_ioprio_set, PROCESS, 0, io_priority(2, 0)));
    SHOW(syscall(SYS_ioprio_set, PROCESS, 0, io_priority(3, 0)));
    SHOW(syscall(SYS_ioprio_set, PROCESS, 1, io_priority(2, 0)));
}

static void in_child(void (*what)(void)) {
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        what();
        exit(0);
    }
    waitpid(child, &status, 0);
    show_status("child", status);
}

int main(void) {
    in_child(policies);
    in_child(attributes);
    in_child(niceness);
    in_child(affinity);
    in_child(io_priorities);
    return 0;
}
