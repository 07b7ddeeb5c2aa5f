// UNIX sockets: unix(7). Kinds, names, connections, ends, messages, files and credentials under way.
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

static socklen_t name(struct sockaddr_un *a, const char *text) {
    memset(a, 0, sizeof *a);
    a->sun_family = AF_UNIX;
    socklen_t len = offsetof(struct sockaddr_un, sun_path) + strlen(text);
    memcpy(a->sun_path, text, strlen(text));
    if (text[0] == '@') {
        a->sun_path[0] = 0;
        return len;
    }
    return len + 1;
}

#define BIND(fd, text) ({ struct sockaddr_un a_; socklen_t l_ = name(&a_, text); bind(fd, (void *)&a_, l_); })
#define CONNECT(fd, text) ({ struct sockaddr_un a_; socklen_t l_ = name(&a_, text); connect(fd, (void *)&a_, l_); })
#define SENDTO(fd, data, text) \
    ({ struct sockaddr_un a_; socklen_t l_ = name(&a_, text); sendto(fd, data, strlen(data), 0, (void *)&a_, l_); })

static void show_name(const char *what, int result, struct sockaddr_un *a, socklen_t len) {
    if (result < 0) {
        printf("%s: errno %d\n", what, errno);
        return;
    }
    printf("%s: len %d family %d ", what, (int)len, a->sun_family);
    for (int i = 0; i < (int)(len - offsetof(struct sockaddr_un, sun_path)); i++)
        putchar(a->sun_path[i] ? a->sun_path[i] : '.');
    puts("");
}

#define NAMES(fd) ({ struct sockaddr_un a_; socklen_t l_ = sizeof a_; \
    int r_ = getsockname(fd, (void *)&a_, &l_); show_name("own", r_, &a_, l_); \
    l_ = sizeof a_; r_ = getpeername(fd, (void *)&a_, &l_); show_name("peer", r_, &a_, l_); })

static int events(int fd) {
    struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0};
    poll(&p, 1, 0);
    return p.revents;
}

static char buffer[300000];

static void show_read(int fd, size_t len) {
    ssize_t got = read(fd, buffer, len);
    if (got < 0)
        printf("read: errno %d\n", errno);
    else
        printf("read %zd: %.*s\n", got, got < 40 ? (int)got : 40, buffer);
}

static void making(void) {
    puts("# making");
    SHOW(socket(AF_UNIX, 99, 0));
    SHOW(socket(AF_UNIX, SOCK_RDM, 0));
    SHOW(socket(AF_UNIX, SOCK_STREAM, 5));
    SHOW(socket(99, SOCK_STREAM, 0));
    SHOW(socket(AF_UNIX, SOCK_STREAM | 0x40, 0));
    OK(socket(AF_UNIX, SOCK_RAW, 0));
    OK(socket(AF_UNIX, SOCK_STREAM, AF_UNIX));
    int pair[2];
    SHOW(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair));
    SHOW(fcntl(pair[0], F_GETFD));
    SHOW(fcntl(pair[1], F_GETFL));
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, wild));
    struct stat st;
    fstat(pair[0], &st);
    printf("mode %o size %ld\n", st.st_mode, (long)st.st_size);
    SHOW(lseek(pair[0], 0, SEEK_SET));
    SHOW(bind(0, (void *)&st, 4));
    SHOW(listen(999, 4));
    NAMES(pair[0]);
    close(pair[0]);
    close(pair[1]);
}

static void streams(void) {
    puts("# streams");
    int p[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    printf("events %x\n", events(p[0]));
    SHOW(write(p[0], "hello ", 6));
    SHOW(send(p[0], "world", 5, 0));
    int n = -1;
    SHOW(ioctl(p[1], FIONREAD, &n));
    printf("there are %d\n", n);
    printf("events %x\n", events(p[1]));
    SHOW(recv(p[1], buffer, 5, MSG_PEEK));
    show_read(p[1], 8);
    SHOW(recv(p[1], buffer, 100, MSG_DONTWAIT));
    SHOW(recv(p[1], buffer, 100, MSG_DONTWAIT));
    SHOW(send(p[0], "x", 1, MSG_OOB | MSG_DONTWAIT) == 1 || errno == EOPNOTSUPP);
    close(p[0]);
    close(p[1]);
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    SHOW(write(p[1], wild, 4));
    SHOW(write(p[1], "", 0));
    write(p[1], "ab", 2);
    SHOW(read(p[0], wild, 4));
    show_read(p[0], 4);
    // A write over the end of mapped memory sends what there is, or nothing.
    char *page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page + 4096, 4096);
    memset(page, 'q', 4096);
    SHOW(recv(p[0], page, 1, MSG_DONTWAIT));
    SHOW(shutdown(p[0], 3));
    SHOW(shutdown(p[0], SHUT_WR));
    signal(SIGPIPE, SIG_IGN);
    SHOW(write(p[0], "x", 1));
    printf("events %x %x\n", events(p[0]), events(p[1]));
    show_read(p[1], 4);
    SHOW(write(p[1], "other", 5));
    show_read(p[0], 9);
    SHOW(shutdown(p[0], SHUT_RD));
    SHOW(write(p[1], "x", 1));
    SHOW(send(p[1], "x", 1, MSG_NOSIGNAL));
    printf("events %x %x\n", events(p[0]), events(p[1]));
    close(p[0]);
    close(p[1]);
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    write(p[1], "unread", 6);
    close(p[0]);
    printf("events %x\n", events(p[1]));
    int error = -1;
    socklen_t len = sizeof error;
    SHOW(getsockopt(p[1], SOL_SOCKET, SO_ERROR, &error, &len));
    printf("error %d\n", error);
    show_read(p[1], 4);
    SHOW(write(p[1], "x", 1));
    close(p[1]);
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    write(p[1], "unread", 6);
    write(p[0], "sent", 4);
    close(p[0]);
    show_read(p[1], 9);
    show_read(p[1], 9);
    show_read(p[1], 9);
    close(p[1]);
    // Each end of a fresh socket.
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    printf("events %x\n", events(s));
    show_read(s, 4);
    SHOW(write(s, "x", 1));
    SHOW(shutdown(s, SHUT_RDWR));
    SHOW(SENDTO(s, "x", "@nobody"));
    SHOW(listen(s, 1));
    close(s);
}

static void *reader(void *arg) {
    int fd = *(int *)arg;
    long total = 0;
    ssize_t got;
    while ((got = read(fd, buffer, 5000)) > 0)
        total += got;
    return (void *)total;
}

static void big(void) {
    puts("# big writes");
    int p[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    pthread_t t;
    pthread_create(&t, 0, reader, &p[1]);
    char *data = malloc(1000000);
    memset(data, 'd', 1000000);
    SHOW(write(p[0], data, 1000000));
    shutdown(p[0], SHUT_WR);
    void *total;
    pthread_join(t, &total);
    printf("received %ld\n", (long)total);
    close(p[0]);
    close(p[1]);
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p);
    ssize_t sent = 0, now;
    while ((now = write(p[0], data, 10000)) > 0)
        sent += now;
    printf("full: errno %d, much went in: %d, events %x\n", errno, sent >= 100000, events(p[0]));
    int out = 0;
    SHOW(ioctl(p[0], TIOCOUTQ, &out));
    printf("under way: %d\n", out >= sent);
    while (read(p[1], buffer, sizeof buffer) > 0) {}
    printf("events %x\n", events(p[0]));
    close(p[0]);
    close(p[1]);
    free(data);
}

static void connections(void) {
    puts("# connections");
    int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
    SHOW(CONNECT(c, "@jinux-test"));
    SHOW(CONNECT(c, "missing"));
    SHOW(BIND(l, "@jinux-test"));
    SHOW(BIND(l, "@jinux-other"));
    SHOW(BIND(c, "@jinux-test"));
    SHOW(CONNECT(c, "@jinux-test"));
    SHOW(accept(l, 0, 0));
    SHOW(listen(l, 1));
    printf("events %x\n", events(l));
    SHOW(CONNECT(c, "@jinux-test"));
    SHOW(CONNECT(c, "@jinux-test"));
    SHOW(CONNECT(l, "@jinux-test"));
    printf("events %x %x\n", events(l), events(c));
    SHOW(write(c, "early", 5));
    struct sockaddr_un a;
    socklen_t len = sizeof a;
    int s = accept4(l, (void *)&a, &len, SOCK_CLOEXEC);
    printf("accepted, name of %d bytes, cloexec %d\n", (int)len, fcntl(s, F_GETFD));
    show_read(s, 10);
    NAMES(s);
    NAMES(c);
    // A full table of descriptors loses no connection.
    struct rlimit files, few = {0, 0};
    getrlimit(RLIMIT_NOFILE, &files);
    few.rlim_max = files.rlim_max;
    int waits = socket(AF_UNIX, SOCK_STREAM, 0);
    SHOW(CONNECT(waits, "@jinux-test"));
    setrlimit(RLIMIT_NOFILE, &few);
    SHOW(accept(l, 0, 0));
    setrlimit(RLIMIT_NOFILE, &files);
    int kept = accept(l, 0, 0);
    printf("kept: %d\n", kept >= 0);
    close(kept), close(waits);
    SHOW(syscall(SYS_accept4, l, 0, 0, 1));
    struct ucred who;
    len = sizeof who;
    SHOW(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &who, &len));
    printf("peer is me: %d %d %d\n", who.pid == getpid(), who.uid == geteuid(), who.gid == getegid());
    // The queue of a listener: one more than asked for.
    int q[4];
    for (int i = 0; i < 4; i++) {
        q[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        SHOW(CONNECT(q[i], "@jinux-test"));
    }
    close(l);
    show_read(q[0], 1);
    show_read(q[0], 1);
    SHOW(CONNECT(q[3], "@jinux-test"));
    show_read(c, 0);
    for (int i = 0; i < 4; i++)
        close(q[i]);
    close(s);
    show_read(c, 1);
    close(c);

    puts("# names in the file system");
    l = socket(AF_UNIX, SOCK_STREAM, 0);
    SHOW(BIND(l, "sock"));
    SHOW(BIND(l, "sock2"));
    c = socket(AF_UNIX, SOCK_STREAM, 0);
    SHOW(BIND(c, "sock"));
    SHOW(BIND(c, "nowhere/sock"));
    struct stat st;
    stat("sock", &st);
    printf("mode %o\n", st.st_mode & S_IFMT);
    SHOW(open("sock", O_RDWR));
    SHOW(CONNECT(c, "sock"));
    listen(l, 5);
    SHOW(CONNECT(c, "sock"));
    s = accept(l, 0, 0);
    NAMES(s);
    NAMES(c);
    int d = socket(AF_UNIX, SOCK_DGRAM, 0);
    SHOW(CONNECT(d, "sock"));
    SHOW(CONNECT(d, "/dev/null"));
    SHOW(rename("sock", "moved"));
    int e = socket(AF_UNIX, SOCK_STREAM, 0);
    SHOW(CONNECT(e, "sock"));
    SHOW(CONNECT(e, "moved"));
    SHOW(unlink("moved"));
    close(l);
    SHOW(CONNECT(d, "moved"));
    int after = open("plain", O_CREAT | O_RDWR, 0600);
    SHOW(CONNECT(d, "plain"));
    close(after);
    unlink("plain");
    // Lengths.
    struct sockaddr_un full;
    memset(&full, 'n', sizeof full);
    full.sun_family = AF_UNIX;
    int f = socket(AF_UNIX, SOCK_DGRAM, 0);
    SHOW(bind(f, (void *)&full, 1));
    SHOW(bind(f, (void *)&full, sizeof full + 1));
    SHOW(bind(f, (void *)&full, 200));
    full.sun_family = AF_INET;
    SHOW(bind(f, (void *)&full, sizeof full));
    full.sun_family = AF_UNIX;
    SHOW(bind(f, wild, sizeof full));
    SHOW(bind(f, (void *)&full, sizeof full));
    len = sizeof full;
    char room[200];
    SHOW(getsockname(f, (void *)room, &len));
    printf("len %d\n", (int)len);
    full.sun_path[sizeof full.sun_path - 1] = 0;
    char path[109];
    memcpy(path, full.sun_path, 107);
    path[107] = 'n';
    path[108] = 0;
    SHOW(unlink(path));
    len = -1;
    SHOW(getsockname(f, (void *)room, &len));
    len = 3;
    SHOW(getsockname(f, (void *)room, &len));
    printf("len %d\n", (int)len);
    // A name the kernel chooses.
    int g = socket(AF_UNIX, SOCK_DGRAM, 0);
    SHOW(bind(g, (void *)&full, 2));
    len = sizeof full;
    getsockname(g, (void *)&full, &len);
    printf("chosen: %d bytes, first %d\n", (int)len, full.sun_path[0]);
    close(c), close(s), close(d), close(e), close(f), close(g);
}

static void datagrams(void) {
    puts("# datagrams");
    int a = socket(AF_UNIX, SOCK_DGRAM, 0), b = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    printf("events %x\n", events(a));
    SHOW(write(a, "x", 1));
    SHOW(SENDTO(a, "x", "@jinux-b"));
    SHOW(BIND(a, "@jinux-a"));
    SHOW(BIND(b, "@jinux-b"));
    SHOW(SENDTO(a, "first", "@jinux-b"));
    SHOW(sendto(a, "", 0, 0, (void *)&(struct sockaddr_un){AF_UNIX, "\0jinux-b"}, 2 + 8));
    struct sockaddr_un from;
    socklen_t len = sizeof from;
    SHOW(recvfrom(b, buffer, 3, MSG_TRUNC, (void *)&from, &len));
    show_name("from", 0, &from, len);
    SHOW(recv(b, buffer, 9, 0));
    SHOW(recv(b, buffer, 9, 0));
    SHOW(CONNECT(b, "@jinux-a"));
    SHOW(write(b, "reply", 5));
    show_read(a, 9);
    int c = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    SHOW(SENDTO(c, "x", "@jinux-b"));
    SHOW(CONNECT(c, "@jinux-b"));
    SHOW(connect(b, &(struct sockaddr){AF_UNSPEC, ""}, sizeof(struct sockaddr)));
    SHOW(CONNECT(c, "@jinux-b"));
    NAMES(c);
    int sent = 0;
    while (write(c, "x", 1) == 1)
        sent++;
    printf("%d went in, then errno %d, events %x\n", sent, errno, events(c));
    SHOW(recv(b, buffer, 9, 0));
    printf("events %x\n", events(c));
    SHOW(recvfrom(b, buffer, 9, 0, (void *)&from, (len = sizeof from, &len)));
    printf("from nobody: %d\n", (int)len);
    SHOW(write(c, buffer, 250000));
    SHOW(listen(c, 1));
    SHOW(accept(c, 0, 0));
    SHOW(shutdown(c, SHUT_WR));
    SHOW(write(c, "x", 1));
    close(b);
    printf("events %x\n", events(c));
    int d = socket(AF_UNIX, SOCK_DGRAM, 0);
    SHOW(SENDTO(d, "x", "@jinux-b"));
    close(a), close(c), close(d);
    int p[2];
    socketpair(AF_UNIX, SOCK_DGRAM, 0, p);
    write(p[0], "one", 3);
    write(p[0], "two", 3);
    show_read(p[1], 9);
    close(p[0]);
    show_read(p[1], 2);
    SHOW(recv(p[1], buffer, 1, MSG_DONTWAIT));
    SHOW(write(p[1], "x", 1));
    close(p[1]);

    puts("# packets");
    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p);
    write(p[0], "first", 5);
    write(p[0], "second", 6);
    show_read(p[1], 3);
    SHOW(recv(p[1], buffer, 2, MSG_TRUNC));
    SHOW(recv(p[1], buffer, 2, MSG_DONTWAIT));
    close(p[0]);
    show_read(p[1], 3);
    SHOW(write(p[1], "x", 1));
    printf("events %x\n", events(p[1]));
    close(p[1]);
    int s = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    show_read(s, 3);
    SHOW(write(s, "x", 1));
    close(s);
}

static ssize_t send_fds(int sock, const char *data, int *fds, int count) {
    char control[CMSG_SPACE(sizeof(int) * 260)];
    memset(control, 0, sizeof control);
    struct iovec iov = {(void *)data, strlen(data)};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
                       .msg_controllen = CMSG_SPACE(sizeof(int) * count)};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(h), fds, sizeof(int) * count);
    return sendmsg(sock, &m, 0);
}

// Receives a message with `room` bytes for control and shows all of it; returns a passed file.
static int show_message(int sock, size_t len, size_t room, int flags) {
    char control[2000];
    struct sockaddr_un from;
    struct iovec iov[2] = {{buffer, len / 2}, {buffer + len / 2, len - len / 2}};
    struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = iov, .msg_iovlen = 2,
                       .msg_control = control, .msg_controllen = room};
    ssize_t got = recvmsg(sock, &m, flags);
    if (got < 0) {
        printf("recvmsg: errno %d\n", errno);
        return -1;
    }
    printf("message %zd '%.*s' flags %x name %d control %zu\n", got, (int)got, buffer,
           m.msg_flags, (int)m.msg_namelen, (size_t)m.msg_controllen);
    int file = -1;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
        printf("  level %d type %d len %zu", h->cmsg_level, h->cmsg_type, (size_t)h->cmsg_len);
        if (h->cmsg_type == SCM_CREDENTIALS) {
            struct ucred *u = (void *)CMSG_DATA(h);
            printf(" pid mine %d nobody %d uid %d gid %d", u->pid == getpid(), u->pid == 0, u->uid, u->gid);
        } else if (h->cmsg_type == SCM_RIGHTS && h->cmsg_len >= CMSG_LEN(4)) {
            for (size_t i = 0; i < (h->cmsg_len - CMSG_LEN(0)) / 4; i++) {
                if (file >= 0)
                    close(file);
                file = ((int *)CMSG_DATA(h))[i];
                printf(" cloexec %d", fcntl(file, F_GETFD));
            }
        }
        puts("");
    }
    return file;
}

static void passing(void) {
    puts("# passing files");
    int p[2], pipes[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    pipe(pipes);
    SHOW(send_fds(p[0], "take", pipes, 2));
    int fd = show_message(p[1], 10, 200, 0);
    SHOW(write(fd, "through", 7));
    show_read(pipes[0], 10);
    close(fd);
    SHOW(send_fds(p[0], "cloexec", pipes, 1));
    close(show_message(p[1], 10, 200, MSG_CMSG_CLOEXEC));
    SHOW(send_fds(p[0], "norm", pipes, 2));
    close(show_message(p[1], 10, CMSG_LEN(4), 0));
    SHOW(send_fds(p[0], "none", pipes, 2));
    show_message(p[1], 10, 0, 0);
    SHOW(send_fds(p[0], "bad", (int[]){999}, 1));
    int many[260];
    for (int i = 0; i < 260; i++)
        many[i] = 1;
    SHOW(send_fds(p[0], "many", many, 254));
    SHOW(send_fds(p[0], "", pipes, 1));
    write(p[0], "ab", 2);
    send_fds(p[0], "cd", pipes, 1);
    write(p[0], "ef", 2);
    close(show_message(p[1], 20, 200, 0));
    close(show_message(p[1], 20, 200, 0));
    send_fds(p[0], "gh", pipes, 1);
    send_fds(p[0], "ij", pipes, 1);
    close(show_message(p[1], 20, 200, MSG_PEEK));
    show_read(p[1], 20);
    close(show_message(p[1], 20, 200, MSG_DONTWAIT));
    // The last reference may be under way.
    send_fds(p[0], "w", &pipes[1], 1);
    close(pipes[1]);
    fcntl(pipes[0], F_SETFL, O_NONBLOCK);
    show_read(pipes[0], 1);
    close(p[1]);
    show_read(pipes[0], 1);
    close(pipes[0]), close(p[0]);

    puts("# credentials");
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    write(p[0], "plain", 5);
    int on = 1;
    SHOW(setsockopt(p[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    show_message(p[1], 20, 200, 0);
    write(p[0], "one", 3);
    write(p[0], "two", 3);
    show_message(p[1], 20, 200, 0);
    write(p[0], "cut", 3);
    show_message(p[1], 20, 20, 0);
    struct ucred fake = {getpid(), geteuid(), getegid()};
    char control[CMSG_SPACE(sizeof fake)];
    struct iovec iov = {"said", 4};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    *h = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_CREDENTIALS, .cmsg_len = CMSG_LEN(sizeof fake)};
    memcpy(CMSG_DATA(h), &fake, sizeof fake);
    SHOW(sendmsg(p[0], &m, 0));
    show_message(p[1], 20, 200, 0);
    h->cmsg_len = CMSG_LEN(4);
    SHOW(sendmsg(p[0], &m, 0));
    h->cmsg_len = 3;
    SHOW(sendmsg(p[0], &m, 0));
    h->cmsg_len = CMSG_LEN(sizeof fake);
    h->cmsg_type = 77;
    SHOW(sendmsg(p[0], &m, 0));
    h->cmsg_level = 77;
    SHOW(sendmsg(p[0], &m, 0));
    if (fork() == 0) {
        setgid(1234), setuid(1234);
        h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_CREDENTIALS;
        SHOW(sendmsg(p[0], &m, 0));
        fake = (struct ucred){getpid(), 1234, 1234};
        memcpy(CMSG_DATA(h), &fake, sizeof fake);
        SHOW(sendmsg(p[0], &m, 0));
        _exit(0);
    }
    wait(0);
    show_message(p[1], 4, 200, 0);
    show_message(p[1], 4, 200, 0);
    close(p[0]), close(p[1]);

    puts("# several messages");
    socketpair(AF_UNIX, SOCK_DGRAM, 0, p);
    struct iovec parts[3] = {{"one", 3}, {"two2", 4}, {"three", 5}};
    struct mmsghdr batch[3] = {{{.msg_iov = &parts[0], .msg_iovlen = 1}, 9},
                               {{.msg_iov = &parts[1], .msg_iovlen = 1}, 9},
                               {{.msg_iov = &parts[2], .msg_iovlen = 1}, 9}};
    SHOW(sendmmsg(p[0], batch, 3, 0));
    printf("%u %u %u\n", batch[0].msg_len, batch[1].msg_len, batch[2].msg_len);
    static char in[4][10];
    struct iovec into[4] = {{in[0], 10}, {in[1], 2}, {in[2], 10}, {in[3], 10}};
    struct mmsghdr got[4];
    memset(got, 0, sizeof got);
    for (int i = 0; i < 4; i++)
        got[i].msg_hdr.msg_iov = &into[i], got[i].msg_hdr.msg_iovlen = 1;
    SHOW(recvmmsg(p[1], got, 4, MSG_WAITFORONE, 0));
    printf("%u %u %u flags %x %s %.2s %s\n", got[0].msg_len, got[1].msg_len, got[2].msg_len,
           got[1].msg_hdr.msg_flags, in[0], in[1], in[2]);
    SHOW(recvmmsg(p[1], got, 4, MSG_DONTWAIT, 0));
    close(p[0]), close(p[1]);
}

static void alarmed(int signal) { (void)signal; }

static void options(void) {
    puts("# options");
    int p[2], value;
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    socklen_t len = sizeof value;
#define GET(option) ({ value = -7; len = sizeof value; SHOW(getsockopt(p[0], SOL_SOCKET, option, &value, &len)); \
        printf("  %d of %d bytes\n", value, (int)len); })
    GET(SO_TYPE);
    GET(SO_DOMAIN);
    GET(SO_PROTOCOL);
    GET(SO_ACCEPTCONN);
    GET(SO_SNDBUF);
    GET(SO_RCVBUF);
    GET(SO_KEEPALIVE);
    GET(SO_REUSEADDR);
    GET(SO_ERROR);
    GET(SO_RCVLOWAT);
    GET(SO_PASSCRED);
    GET(9999);
    value = 20000;
    SHOW(setsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &value, sizeof value));
    GET(SO_SNDBUF);
    value = 1;
    SHOW(setsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &value, sizeof value));
    GET(SO_SNDBUF);
    value = 0;
    SHOW(setsockopt(p[0], SOL_SOCKET, SO_RCVBUF, &value, sizeof value));
    GET(SO_RCVBUF);
    value = 1;
    SHOW(setsockopt(p[0], SOL_SOCKET, SO_KEEPALIVE, &value, sizeof value));
    GET(SO_KEEPALIVE);
    SHOW(setsockopt(p[0], SOL_SOCKET, SO_TYPE, &value, sizeof value));
    SHOW(setsockopt(p[0], SOL_SOCKET, SO_KEEPALIVE, &value, 2));
    SHOW(setsockopt(p[0], SOL_SOCKET, SO_KEEPALIVE, wild, 4));
    SHOW(setsockopt(p[0], 6, 1, &value, sizeof value));
    len = 4;
    SHOW(getsockopt(p[0], 6, 1, &value, &len));
    len = 2;
    value = 0;
    SHOW(getsockopt(p[0], SOL_SOCKET, SO_TYPE, &value, &len));
    printf("  %d of %d bytes\n", value, (int)len);
    struct timeval t = {0, 20000};
    SHOW(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    t.tv_usec = 0;
    len = sizeof t;
    SHOW(getsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &t, &len));
    printf("  %ld us\n", (long)t.tv_usec);
    show_read(p[0], 1);
    t.tv_usec = 1000000;
    SHOW(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    signal(SIGALRM, alarmed);
    struct itimerval soon = {{0, 0}, {0, 30000}};
    t = (struct timeval){5, 0};
    setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setitimer(ITIMER_REAL, &soon, 0);
    show_read(p[0], 1);
    close(p[0]), close(p[1]);
}

static void *later(void *arg) {
    int fd = *(int *)arg;
    sleep_ms(20);
    write(fd, "half", 4);
    sleep_ms(20);
    write(fd, "rest", 4);
    return 0;
}

static void *client(void *arg) {
    (void)arg;
    int c = socket(AF_UNIX, SOCK_STREAM, 0);
    for (int i = 0; i < 200 && CONNECT(c, "@jinux-wait"); i++)
        sleep_ms(1);
    write(c, "connected", 9);
    return (void *)(long)c;
}

static void waiting(void) {
    puts("# waiting");
    int p[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    pthread_t t;
    pthread_create(&t, 0, later, &p[0]);
    SHOW(recv(p[1], buffer, 8, MSG_WAITALL));
    pthread_join(t, 0);
    write(p[0], "end", 3);
    close(p[0]);
    SHOW(recv(p[1], buffer, 8, MSG_WAITALL));
    close(p[1]);
    int l = socket(AF_UNIX, SOCK_STREAM, 0);
    BIND(l, "@jinux-wait");
    listen(l, 0);
    pthread_t many[5];
    for (int i = 0; i < 5; i++)
        pthread_create(&many[i], 0, client, 0);
    for (int i = 0; i < 5; i++) {
        int s = accept(l, 0, 0);
        show_read(s, 20);
        close(s);
    }
    for (int i = 0; i < 5; i++) {
        void *c;
        pthread_join(many[i], &c);
        close((int)(long)c);
    }
    close(l);
}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    umask(022);
    making();
    streams();
    big();
    connections();
    datagrams();
    passing();
    options();
    waiting();
    return 0;
}
