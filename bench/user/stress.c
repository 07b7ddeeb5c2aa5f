// Storms for SECONDS (default 120): forks, execs, pipes, signals, mappings, threads, timers, ptys,
// files, epoll, descriptors and readers of /proc in parallel, each checked, and all of them killed at
// random in a further storm. Then what the kernel holds (/proc/objects) must be what it was before.
// `stress [SECONDS [STORM...]]` exits with 0 if all held. Where there is no /proc/objects, only the
// storms' own checks count.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

// What no child exits with on purpose.
enum { FAILED = 111 };

static char self[4096];
static double end;
static const char *storm = "?";

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void check(int good, const char *what) {
    if (good) return;
    fprintf(stderr, "stress: %s: %s failed, errno %d\n", storm, what, errno);
    _exit(FAILED);
}

static pid_t forked(void) {
    pid_t child = fork();
    check(child >= 0, "fork");
    return child;
}

static void reap(pid_t child, int wanted) {
    int status;
    check(waitpid(child, &status, 0) == child, "waitpid");
    check(status == wanted, "the child's status");
}

static void forks(void) {
    for (int n = 0; now() < end; n++) {
        pid_t child = forked();
        if (!child) _exit(n % 100);
        reap(child, n % 100 << 8);
    }
}

static void execs(void) {
    char *argv[] = {self, "-exit", NULL}, *envp[] = {NULL};
    while (now() < end) {
        pid_t child = vfork();
        check(child >= 0, "vfork");
        if (!child) {
            execve(self, argv, envp);
            _exit(99);
        }
        reap(child, 42 << 8);
    }
}

static void pipes(void) {
    char out[5000], in[5000];
    for (int n = 0; now() < end; n++) {
        int fds[2];
        check(!pipe(fds), "pipe");
        memset(out, n, sizeof out);
        pid_t child = forked();
        if (!child) {
            for (int i = 0; i < 20; i++) check(write(fds[1], out, sizeof out) == sizeof out, "pipe write");
            _exit(0);
        }
        close(fds[1]);
        long total = 0;
        for (ssize_t got; (got = read(fds[0], in, sizeof in)) > 0; total += got)
            check(!memcmp(in, out, got), "pipe bytes");
        check(total == 20 * (long)sizeof out, "pipe length");
        close(fds[0]);
        reap(child, 0);
    }
}

static volatile sig_atomic_t caught;

static void on_signal(int signal) {
    (void)signal;
    caught++;
}

static void signals(void) {
    struct timespec soon = {5, 0};
    siginfo_t info;
    sigset_t set;
    signal(SIGUSR1, on_signal);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    while (now() < end) {
        int before = caught, status;
        raise(SIGUSR1);
        check(caught == before + 1, "raise");
        for (int i = 0; i < 10; i++) check(!sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i}), "sigqueue");
        for (int i = 0; i < 10; i++)
            check(sigtimedwait(&set, &info, &soon) == SIGRTMIN && info.si_value.sival_int == i, "sigtimedwait");
        pid_t child = forked();
        if (!child) for (;;) pause();
        sigqueue(child, SIGRTMIN, (union sigval){.sival_int = 1});
        kill(child, SIGSTOP);
        check(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status), "stop");
        kill(child, SIGCONT);
        kill(child, SIGKILL);
        reap(child, SIGKILL);
    }
}

static void maps(void) {
    for (int n = 1; now() < end; n++) {
        size_t size = (size_t)(n % 64 + 1) * 4096;
        char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        check(memory != MAP_FAILED, "mmap");
        memset(memory, n, size);
        pid_t child = forked();
        if (!child) {
            memset(memory, 0, size);
            _exit(0);
        }
        reap(child, 0);
        for (size_t i = 0; i < size; i += 4096) check(memory[i] == (char)n, "copy-on-write");
        for (size_t i = 0; i + 4096 < size; i += 8192) check(!mprotect(memory + i, 4096, PROT_READ), "mprotect");
        check(!mprotect(memory, size, PROT_READ | PROT_WRITE), "mprotect of all");
        memory = mremap(memory, size, size * 2, MREMAP_MAYMOVE);
        check(memory != MAP_FAILED && memory[size - 1] == (char)n && !memory[size], "mremap");
        check(!madvise(memory, size, MADV_DONTNEED) && !memory[0], "madvise");
        check(!munmap(memory, size * 2), "munmap");
    }
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn = PTHREAD_COND_INITIALIZER;
static long counter;

static void *add(void *unused) {
    (void)unused;
    for (int i = 0; i < 50; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_cond_broadcast(&turn);
        pthread_mutex_unlock(&mutex);
        if (i % 10 == 0) sched_yield();
    }
    return NULL;
}

static void threads(void) {
    enum { COUNT = 6 };
    pthread_t thread[COUNT];
    while (now() < end) {
        counter = 0;
        for (int i = 0; i < COUNT; i++) check(!pthread_create(&thread[i], NULL, add, NULL), "pthread_create");
        pthread_mutex_lock(&mutex);
        while (counter < COUNT * 50) pthread_cond_wait(&turn, &mutex);
        pthread_mutex_unlock(&mutex);
        for (int i = 0; i < COUNT; i++) check(!pthread_join(thread[i], NULL), "pthread_join");
        check(counter == COUNT * 50, "the sum of all threads");
        // A process ends with its threads, whatever they do.
        pid_t child = forked();
        if (!child) {
            for (int i = 0; i < COUNT; i++) pthread_create(&thread[i], NULL, add, NULL);
            _exit(5);
        }
        reap(child, 5 << 8);
    }
}

static void timers(void) {
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
    struct itimerspec fast = {{0, 1000000}, {0, 1000000}};
    struct itimerval slow = {{0, 0}, {100, 0}};
    struct timespec pause = {0, 500000};
    signal(SIGUSR2, on_signal);
    while (now() < end) {
        timer_t timer;
        uint64_t expired;
        int before = caught, fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
        check(fd >= 0 && !timerfd_settime(fd, 0, &fast, NULL), "timerfd");
        check(!timer_create(CLOCK_MONOTONIC, &event, &timer) && !timer_settime(timer, 0, &fast, NULL), "timer_create");
        check(!setitimer(ITIMER_REAL, &slow, NULL), "setitimer");
        while (caught == before) nanosleep(&pause, NULL);
        ssize_t got;
        while ((got = read(fd, &expired, sizeof expired)) < 0 && errno == EINTR) {}
        check(got == sizeof expired && expired > 0, "timerfd read");
        check(!timer_delete(timer), "timer_delete");
        close(fd);
        pid_t child = forked();
        if (!child) {
            // Ends with its timers set.
            timer_create(CLOCK_MONOTONIC, &event, &timer);
            timer_settime(timer, 0, &fast, NULL);
            setitimer(ITIMER_REAL, &slow, NULL);
            _exit(0);
        }
        reap(child, 0);
    }
}

static void ptys(void) {
    while (now() < end) {
        char line[64], name[64];
        int unlock = 0, master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), number;
        check(master >= 0 && !ioctl(master, TIOCSPTLCK, &unlock) && !ioctl(master, TIOCGPTN, &number), "ptmx");
        snprintf(name, sizeof name, "/dev/pts/%d", number);
        pid_t child = forked();
        if (!child) {
            close(master);
            setsid();
            int slave = open(name, O_RDWR);
            // Without its parent it has no terminal.
            if (slave < 0 || read(slave, line, sizeof line) != 6 || memcmp(line, "hello\n", 6)) _exit(4);
            if (write(slave, "bye\n", 4) != 4) _exit(5);
            tcdrain(slave);
            _exit(3);
        }
        check(write(master, "hello\n", 6) == 6, "typing");
        int length = 0;
        // The echo, then the answer, each with a carriage return.
        while (length < 12) {
            ssize_t got = read(master, line + length, sizeof line - length);
            if (got <= 0) break;
            length += got;
        }
        check(length == 12 && !memcmp(line, "hello\r\nbye\r\n", 12), "the terminal's output");
        reap(child, 3 << 8);
        close(master);
    }
}

static void files(void) {
    char name[2][40], text[6000], back[6000];
    // The names do not depend on the process, or each would leave its own in the cache of names.
    static int instance;
    snprintf(name[0], sizeof name[0], "/tmp/stress-a%d", instance);
    snprintf(name[1], sizeof name[1], "/tmp/stress-b%d", instance);
    for (int n = 0; now() < end; n++) {
        memset(text, n, sizeof text);
        int fd = open(name[0], O_RDWR | O_CREAT, 0600);
        check(fd >= 0, "creat");
        // Another one of these storms may use the same file.
        check(!flock(fd, LOCK_EX), "flock");
        check(!ftruncate(fd, 0) && write(fd, text, sizeof text) == sizeof text, "write");
        check(pread(fd, back, sizeof back, 0) == sizeof back && !memcmp(text, back, sizeof back), "pread");
        char *memory = mmap(NULL, sizeof text, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        check(memory != MAP_FAILED && memory[5000] == (char)n, "mmap of a file");
        memory[5000] = n + 1;
        check(pread(fd, back, 1, 5000) == 1 && back[0] == (char)(n + 1), "a store to a mapped file");
        check(!munmap(memory, sizeof text), "munmap of a file");
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = n % 100, .l_len = 10};
        check(!fcntl(fd, F_SETLKW, &lock), "fcntl lock");
        rename(name[0], name[1]);
        unlink(name[1]);
        close(fd);
        fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
        check(fd >= 0 && write(fd, text, 100) == 100, "O_TMPFILE");
        close(fd);
        if (!mkdir("/tmp/stress-d", 0700)) rmdir("/tmp/stress-d");
    }
}

static void epolls(void) {
    struct epoll_event event, got[4];
    while (now() < end) {
        int fds[2], watch = epoll_create1(EPOLL_CLOEXEC), count = eventfd(0, EFD_NONBLOCK);
        check(watch >= 0 && count >= 0 && !pipe(fds), "epoll_create");
        event = (struct epoll_event){.events = EPOLLIN, .data.u32 = 1};
        check(!epoll_ctl(watch, EPOLL_CTL_ADD, fds[0], &event), "watching a pipe");
        event = (struct epoll_event){.events = EPOLLIN | EPOLLET, .data.u32 = 2};
        check(!epoll_ctl(watch, EPOLL_CTL_ADD, count, &event), "watching an eventfd");
        pid_t child = forked();
        if (!child) {
            uint64_t one = 1;
            check(write(count, &one, 8) == 8, "eventfd write");
            check(write(fds[1], "x", 1) == 1, "pipe write");
            _exit(0);
        }
        for (int seen = 0; seen != 3;) {
            int ready = epoll_wait(watch, got, 4, 10000);
            check(ready > 0, "epoll_wait");
            for (int i = 0; i < ready; i++) seen |= got[i].data.u32;
        }
        reap(child, 0);
        close(count);
        close(fds[0]);
        close(fds[1]);
        // Who looks at the child in /proc may hold its files a moment longer.
        for (double patience = now() + 10; epoll_wait(watch, got, 4, 0) && now() < patience;) sched_yield();
        check(!epoll_wait(watch, got, 4, 0), "nothing left to watch");
        close(watch);
    }
}

static void descriptors(void) {
    char text[300], back[300];
    memset(text, 7, sizeof text);
    while (now() < end) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGHUP);
        int fds[2], many[40], from, to, memory = memfd_create("stress", MFD_CLOEXEC);
        from = signalfd(-1, &set, SFD_CLOEXEC);
        to = inotify_init1(IN_NONBLOCK);
        check(from >= 0 && to >= 0 && inotify_add_watch(to, "/tmp", IN_CREATE | IN_DELETE) > 0, "inotify");
        check(memory >= 0 && !pipe2(fds, O_CLOEXEC), "memfd");
        check(write(fds[1], text, sizeof text) == sizeof text, "pipe write");
        check(splice(fds[0], NULL, memory, NULL, 300, 0) == 300, "splice");
        check(pread(memory, back, 300, 0) == 300 && !memcmp(text, back, 300), "what was spliced");
        for (int i = 0; i < 40; i++) check((many[i] = dup(i % 2 ? memory : fds[0])) >= 0, "dup");
        check(dup2(memory, many[3]) == many[3], "dup2");
        for (int i = 0; i < 40; i++) check(!close(many[i]), "close");
        check(fcntl(fds[0], F_SETPIPE_SZ, 1 << 18) == 1 << 18, "F_SETPIPE_SZ");
        close(fds[0]), close(fds[1]), close(memory), close(from), close(to);
    }
}

// Reads what processes that are about to end show.
static void readers(void) {
    static const char *const names[] = {"stat", "status", "maps", "cmdline", "smaps", "io", "wchan", "fdinfo/1", "exe"};
    char path[100], text[4096];
    while (now() < end) {
        DIR *proc = opendir("/proc");
        check(proc != NULL, "opendir");
        for (struct dirent *entry; (entry = readdir(proc)) && now() < end;) {
            if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
            for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                snprintf(path, sizeof path, "/proc/%.20s/%s", entry->d_name, names[i]);
                if (names[i][0] == 'e') {
                    if (readlink(path, text, sizeof text) < 0) errno = 0;
                    continue;
                }
                int fd = open(path, O_RDONLY);
                if (fd < 0) continue;
                while (read(fd, text, sizeof text) > 0) {}
                close(fd);
            }
        }
        closedir(proc);
    }
}

static void kills(void);

static const struct {
    const char *name;
    void (*run)(void);
    int copies;
} storms[] = {
    {"forks", forks, 2}, {"execs", execs, 1}, {"pipes", pipes, 2}, {"signals", signals, 1},
    {"maps", maps, 2}, {"threads", threads, 1}, {"timers", timers, 1}, {"ptys", ptys, 1},
    {"files", files, 1}, {"epolls", epolls, 1}, {"descriptors", descriptors, 1},
    {"readers", readers, 1}, {"kills", kills, 2},
};
enum { STORMS = sizeof storms / sizeof *storms };

// Starts each of the others and kills it, with all its processes, somewhere in the middle.
static void kills(void) {
    unsigned random = getpid();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int n = 0; now() < end; n++) {
        pid_t child = forked();
        if (!child) {
            setpgid(0, 0);
            storm = storms[n % (STORMS - 1)].name;
            storms[n % (STORMS - 1)].run();
            _exit(0);
        }
        setpgid(child, child);
        random = random * 1103515245 + 12345;
        struct timespec pause = {0, (random >> 16) % 10000 * 1000};
        nanosleep(&pause, NULL);
        kill(-child, SIGKILL);
        // What called setsid has left the group, and ends when its terminal does.
        int status;
        while (waitpid(-1, &status, 0) > 0)
            check(WIFSIGNALED(status) || WEXITSTATUS(status) != FAILED, "a storm before it was killed");
    }
}

// The names and numbers of /proc/objects.
struct objects {
    int count;
    char name[64][24];
    long number[64];
};

static void look(struct objects *objects) {
    static char text[8192];
    objects->count = 0;
    int fd = open("/proc/objects", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    ssize_t length = 0, got;
    while ((got = read(fd, text + length, sizeof text - 1 - length)) > 0) length += got;
    close(fd);
    text[length] = 0;
    for (char *line = strtok(text, "\n"); line && objects->count < 64; line = strtok(NULL, "\n"))
        if (sscanf(line, "%23s %ld", objects->name[objects->count], &objects->number[objects->count]) == 2)
            objects->count++;
}

// How much more of something may be there: what CPUs and tables keep for reuse. Everything that is
// counted by kind must be gone.
static long allowance(const char *name) {
    if (!strncmp(name, "frames_", 7)) return 600;
    // Tables of waiters keep a little for each of their rows.
    if (!strcmp(name, "heap_16") || !strcmp(name, "heap_32") || !strcmp(name, "heap_64")) return 300;
    if (!strncmp(name, "heap_", 5)) return 12;
    return 0;
}

static int compare(const struct objects *before, const struct objects *after, int print) {
    int leaks = 0;
    for (int i = 0; i < before->count && i < after->count; i++) {
        const char *name = before->name[i];
        long more = after->number[i] - before->number[i];
        if (!strcmp(name, "frames_free")) more = -more;
        if (more > allowance(name)) {
            leaks++;
            if (print) printf("left over: %s %ld -> %ld\n", name, before->number[i], after->number[i]);
        }
    }
    return leaks;
}

static int run(double seconds, char **only) {
    int bad = 0, status, running = 0;
    end = now() + seconds;
    for (int i = 0; i < STORMS; i++) {
        int wanted = !*only;
        for (char **name = only; *name; name++) wanted |= !strcmp(*name, storms[i].name);
        for (int copy = 0; wanted && copy < storms[i].copies; copy++) {
            if (!forked()) {
                storm = storms[i].name;
                storms[i].run();
                _exit(0);
            }
            running++;
        }
    }
    for (; running; running--)
        if (wait(&status) < 0 || status) bad++;
    // A storm that was killed has left its files.
    unlink("/tmp/stress-a0");
    unlink("/tmp/stress-b0");
    rmdir("/tmp/stress-d");
    return bad;
}

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "-exit")) return 42;
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0) check(0, "readlink of /proc/self/exe");
    double seconds = argc > 1 ? atof(argv[1]) : 120;
    char **only = argc > 2 ? argv + 2 : argv + argc;
    static struct objects before, after;
    // Once for the caches, which stay.
    int bad = run(seconds < 16 ? seconds / 4 : 4, only);
    look(&before);
    bad += run(seconds, only);
    // What ends a little later than its process is waited for: ten seconds are for ever.
    double patience = now() + 10;
    struct timespec pause = {0, 10000000};
    for (look(&after); compare(&before, &after, 0) && now() < patience; look(&after)) nanosleep(&pause, NULL);
    int leaks = compare(&before, &after, 1);
    printf("failed storms: %d, kinds left over: %d\n", bad, leaks);
    return bad || leaks;
}
