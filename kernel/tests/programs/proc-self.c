// What /proc says of the process that reads it, compared with what its calls say.
#include "check.h"
#include <sys/prctl.h>
#include <sys/resource.h>

static char text[65536];

static char *slurp(const char *path) {
    int fd = open(path, O_RDONLY);
    if (fd < 0) {
        printf("%s: errno %d\n", path, errno);
        text[0] = 0;
        return text;
    }
    size_t len = 0;
    long n;
    while ((n = read(fd, text + len, sizeof text - 1 - len)) > 0) len += n;
    text[len] = 0;
    close(fd);
    return text;
}

// The number after `key` in the text.
static long value(const char *key) {
    char *at = strstr(text, key);
    return at ? strtol(at + strlen(key), NULL, 10) : -1;
}

static void identity(void) {
    SHOW(prctl(PR_SET_NAME, "odd) (name"));
    slurp("/proc/self/stat");
    char *end = strrchr(text, ')');
    char state;
    int ppid, pgrp, session, pid = atoi(text);
    CHECK(pid == getpid());
    CHECK(strstr(text, "(odd) (name)") != NULL);
    SHOW(sscanf(end + 2, "%c %d %d %d", &state, &ppid, &pgrp, &session));
    SHOW(state);
    CHECK(ppid == getppid());
    CHECK(pgrp == getpgrp());
    CHECK(session == getsid(0));
    int fields = 2;
    for (char *at = end; *at; at++) fields += *at == ' ';
    SHOW(fields);
    printf("comm: %s", slurp("/proc/self/comm"));
    int fd = open("/proc/self/comm", O_WRONLY);
    SHOW(write(fd, "renamed", 7));
    char name[17] = {0};
    prctl(PR_GET_NAME, name);
    printf("%s\n", name);
    slurp("/proc/self/status");
    CHECK(value("\nPid:") == getpid());
    CHECK(value("\nTgid:") == getpid());
    CHECK(value("\nPPid:") == getppid());
    CHECK(value("\nUid:") == (long)getuid());
    SHOW(value("\nThreads:"));
    CHECK(value("\nVmSize:") >= value("\nVmRSS:"));
    CHECK(value("\nVmPeak:") >= value("\nVmSize:"));
    CHECK(value("\nVmHWM:") >= value("\nVmRSS:"));
    CHECK(strncmp(text, "Name:\trenamed\n", 14) == 0);
    CHECK(strstr(text, "\nState:\tR (running)\n") != NULL);
}

static void links(char **argv) {
    char a[4096] = {0}, b[4096] = {0};
    OK(readlink("/proc/self/exe", a, sizeof a));
    CHECK(realpath(argv[0], b) && strcmp(a, b) == 0);
    SHOW(chdir("/"));
    memset(a, 0, sizeof a);
    SHOW(readlink("/proc/self/cwd", a, sizeof a));
    printf("%s\n", a);
    memset(a, 0, sizeof a);
    SHOW(readlink("/proc/self/root", a, sizeof a));
    snprintf(b, sizeof b, "%d", getpid());
    memset(a, 0, sizeof a);
    CHECK(readlink("/proc/self", a, sizeof a) > 0 && strcmp(a, b) == 0);
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    snprintf(b, sizeof b, "/proc/self/fd/%d", fd);
    memset(a, 0, sizeof a);
    SHOW(readlink(b, a, sizeof a));
    printf("%s\n", a);
    struct stat st;
    lstat(b, &st);
    printf("mode %o\n", st.st_mode);
    snprintf(b, sizeof b, "/proc/self/fdinfo/%d", fd);
    char *info = slurp(b);
    *strchr(strchr(info, '\n') + 1, '\n') = 0;
    printf("%s\n", info);
    close(fd);
    SHOW(access(b, F_OK));
    int pipes[2];
    SHOW(pipe(pipes));
    snprintf(b, sizeof b, "/proc/self/fd/%d", pipes[1]);
    memset(a, 0, sizeof a);
    readlink(b, a, sizeof a);
    fstat(pipes[1], &st);
    snprintf(b, sizeof b, "pipe:[%ld]", (long)st.st_ino);
    CHECK(strcmp(a, b) == 0);
    snprintf(b, sizeof b, "/proc/self/fd/%d", pipes[0]);
    int writer = open(b, O_WRONLY);
    SHOW(write(writer, "through", 7));
    SHOW(read(pipes[0], a, 100));
    SHOW(access("/proc/self/fd/999", F_OK));
    SHOW(access("/proc/self/fd/01", F_OK));
    SHOW(access("/proc/999999999", F_OK));
    SHOW(access("/proc/01", F_OK));
    SHOW(open("/proc/self/nothing", O_RDONLY));
    SHOW(open("/proc/self/nothing", O_CREAT | O_WRONLY, 0600));
    SHOW(mkdir("/proc/dir", 0700));
    SHOW(unlink("/proc/version"));
}

static void arguments(char **argv) {
    slurp("/proc/self/cmdline");
    CHECK(strcmp(text, argv[0]) == 0);
    slurp("/proc/self/environ");
    CHECK(strncmp(text, environ[0], strlen(environ[0])) == 0);
    slurp("/proc/self/maps");
    unsigned long start, end, here = (unsigned long)&slurp, stack = (unsigned long)&start;
    int code = 0, on_stack = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        char rights[5];
        sscanf(line, "%lx-%lx %4s", &start, &end, rights);
        if (start <= here && here < end) code = strcmp(rights, "r-xp") == 0;
        if (start <= stack && stack < end) on_stack = strstr(line, "[stack]") != NULL && line[73] == '[';
    }
    CHECK(code);
    CHECK(on_stack);
    int secret = 42, copy = 0;
    int fd = open("/proc/self/mem", O_RDWR);
    SHOW(pread(fd, &copy, sizeof copy, (off_t)&secret));
    SHOW(copy);
    copy = 43;
    SHOW(pwrite(fd, &copy, sizeof copy, (off_t)&secret));
    SHOW(*(volatile int *)&secret);
    SHOW(pread(fd, &copy, 4, 8));
}

static void settings(void) {
    struct rlimit limit = {123, 456};
    SHOW(setrlimit(RLIMIT_NOFILE, &limit));
    slurp("/proc/self/limits");
    CHECK(strstr(text, "\nMax open files            123                  456                  files     \n"));
    int fd = open("/proc/self/oom_score_adj", O_RDWR);
    SHOW(write(fd, "500", 3));
    printf("%s", slurp("/proc/self/oom_score_adj"));
    SHOW(write(fd, "1001", 4));
    SHOW(write(fd, "x", 1));
    printf("%s", slurp("/proc/sys/kernel/ostype"));
    SHOW(open("/proc/sys/kernel/ostype", O_WRONLY) < 0 || 1);
    slurp("/proc/uptime");
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    CHECK(labs(atol(text) - now.tv_sec) <= 1);
    slurp("/proc/stat");
    CHECK(strncmp(text, "cpu  ", 5) == 0);
    CHECK(labs(value("\nbtime ") + now.tv_sec - time(NULL)) <= 2);
    slurp("/proc/meminfo");
    CHECK(value("MemTotal:") > value("MemFree:"));
    slurp("/proc/self/statm");
    long resident = strtol(strchr(text, ' '), NULL, 10);
    CHECK(resident > 0 && atol(text) >= resident);
}

static void processes(void) {
    char path[64];
    pid_t child = fork();
    if (!child) _exit(3);
    sleep_ms(50);
    snprintf(path, sizeof path, "/proc/%d/stat", child);
    slurp(path);
    SHOW(strrchr(text, ')')[2]);
    snprintf(path, sizeof path, "/proc/%d/cmdline", child);
    SHOW(strlen(slurp(path)));
    snprintf(path, sizeof path, "/proc/%d/exe", child);
    SHOW(readlink(path, text, 100));
    snprintf(path, sizeof path, "/proc/%d/task/%d/comm", child, child);
    printf("%s", slurp(path));
    int dir = open("/proc/self/task", O_RDONLY | O_DIRECTORY);
    OK(dir);
    snprintf(path, sizeof path, "/proc/%d/status", child);
    int held = open(path, O_RDONLY);
    OK(held);
    waitpid(child, NULL, 0);
    SHOW(read(held, text, 100));
    SHOW(open(path, O_RDONLY));
}

int main(int argc, char **argv) {
    if (argc != 1) return 1;
    arguments(argv);
    identity();
    settings();
    processes();
    links(argv);
    return 0;
}
