// Pseudo-terminals: opening, termios, canonical and raw input, echo, signals of the keyboard,
// controlling terminals, foreground groups, sizes, packet mode, hang-up.
#include "check.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#endif

static int master, slave;

static void open_pair(void) {
    int unlock = 0, number;
    master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    ioctl(master, TIOCSPTLCK, &unlock);
    ioctl(master, TIOCGPTN, &number);
    slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
}

static void close_pair(void) {
    close(slave);
    close(master);
}

static int pending(int fd) {
    int count = -1;
    ioctl(fd, FIONREAD, &count);
    return count;
}

static int events(int fd) {
    struct pollfd one = {fd, POLLIN | POLLOUT | POLLPRI, 0};
    poll(&one, 1, 0);
    return one.revents;
}

// Prints what can be read now, with control characters as numbers.
static void show(const char *what, int fd) {
    char buf[256];
    sleep_ms(8);
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    ssize_t n = read(fd, buf, sizeof buf);
    fcntl(fd, F_SETFL, flags);
    printf("%s: ", what);
    if (n < 0) printf("errno %d", errno);
    else printf("%zd <", n);
    for (ssize_t i = 0; i < n; i++) {
        if (buf[i] >= 32 && buf[i] < 127) putchar(buf[i]);
        else printf("\\%03o", (unsigned char)buf[i]);
    }
    puts(n < 0 ? "" : ">");
    fflush(stdout);
}

// Linux hands the bytes on a moment later.
static void type(const char *text) {
    write(master, text, strlen(text));
    sleep_ms(8);
}

static void change(tcflag_t clear, tcflag_t set) {
    struct termios t;
    tcgetattr(slave, &t);
    t.c_lflag = (t.c_lflag & ~clear) | set;
    tcsetattr(slave, TCSANOW, &t);
}

static void opening(void) {
    int number, lock = 1;
    char name[32];
    master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    SHOW(ioctl(master, TIOCGPTN, &number));
    SHOW(ioctl(master, TIOCGPTLCK, &lock));
    SHOW(lock);
    snprintf(name, sizeof name, "/dev/pts/%d", number);
    SHOW(open(name, O_RDWR | O_NOCTTY));
    SHOW(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY) >= 0 || errno == EIO);
    lock = 0;
    SHOW(ioctl(master, TIOCSPTLCK, &lock));
    SHOW(ioctl(master, TIOCSPTLCK, wild));
    SHOW(ioctl(master, TIOCGPTN, wild));
    slave = open(name, O_RDWR | O_NOCTTY);
    OK(slave);
    struct stat st;
    SHOW(fstat(slave, &st));
    printf("mode %o\n", st.st_mode & 07777 & ~0020);
    CHECK(S_ISCHR(st.st_mode) && st.st_rdev == (136 << 8 | (unsigned)number));
    CHECK(isatty(slave) && isatty(master));
    SHOW(ioctl(slave, TIOCGPTN, &number));
    SHOW(ioctl(slave, 0x54ff, &number));
    SHOW(lseek(slave, 0, SEEK_SET));
    SHOW(pread(slave, name, 1, 0));
    SHOW(ioctl(1, TCGETS, name));
    struct termios t;
    SHOW(tcgetattr(slave, &t));
    printf("iflag %o oflag %o cflag %o lflag %o line %d\n", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag, t.c_line);
    for (int i = 0; i < 19; i++) printf("%d ", t.c_cc[i]);
    printf("\n");
    SHOW(ioctl(slave, TCGETS, wild));
    SHOW(ioctl(slave, TCSETS, wild));
    struct winsize size = {24, 80, 0, 0};
    SHOW(ioctl(slave, TIOCGWINSZ, &size));
    printf("size %d %d\n", size.ws_row, size.ws_col);
    size.ws_row = 50;
    size.ws_col = 132;
    SHOW(ioctl(master, TIOCSWINSZ, &size));
    memset(&size, 0, sizeof size);
    SHOW(ioctl(slave, TIOCGWINSZ, &size));
    printf("size %d %d\n", size.ws_row, size.ws_col);
    SHOW(ioctl(slave, TIOCGWINSZ, wild));
    close_pair();
    SHOW(open(name, O_RDWR | O_NOCTTY) == -1);
}

static void canonical(void) {
    open_pair();
    show("nothing", slave);
    type("ab");
    show("half a line", slave);
    show("echo", master);
    SHOW(pending(slave));
    SHOW(events(slave));
    type("c\n");
    SHOW(pending(slave));
    SHOW(events(slave));
    show("line", slave);
    show("echo", master);
    // Erase, kill, end of file, two lines in two reads, a read shorter than the line.
    type("abc\177\177x\n");
    show("erased", slave);
    show("echo", master);
    type("wrong\025right\n");
    show("killed", slave);
    show("echo", master);
    type("one two\027three\n");
    show("word erased", slave);
    show("echo", master);
    type("one\ntwo\n");
    show("first of two", slave);
    show("second of two", slave);
    type("longline\n");
    char buf[4];
    SHOW(read(slave, buf, 4));
    show("rest", slave);
    type("\004");
    show("end of file", slave);
    type("part\004");
    show("part", slave);
    show("after part", slave);
    type("a\026\003b\n");
    show("quoted", slave);
    show("echo", master);
    type("\033x\n");
    show("escape", slave);
    show("echo", master);
    type("cr\r");
    show("carriage return", slave);
    show("echo", master);
    type("tab\tx\n");
    show("tab", slave);
    show("echo", master);
    // Output.
    write(slave, "out\nput\t|\n", 10);
    show("output", master);
    struct termios t;
    tcgetattr(slave, &t);
    t.c_oflag &= ~OPOST;
    t.c_iflag &= ~ICRNL;
    t.c_iflag |= INLCR | ISTRIP;
    tcsetattr(slave, TCSANOW, &t);
    write(slave, "out\n", 4);
    show("plain output", master);
    type("x\ny\r\351\n");
    show("other newlines", slave);
    type("\004");
    show("other newlines", slave);
    t.c_iflag = ICRNL | IUCLC;
    t.c_oflag = OPOST | OLCUC | ONLCR;
    t.c_cc[VEOL] = '!';
    tcsetattr(slave, TCSANOW, &t);
    show("echo", master);
    type("ABC!def\n");
    show("end of line", slave);
    show("end of line", slave);
    write(slave, "abc\n", 4);
    show("upper case", master);
    close_pair();
    open_pair();
    change(ECHO, 0);
    type("quiet\n");
    show("no echo", master);
    change(0, ECHONL);
    type("quiet\n");
    show("newline echo", master);
    show("both", slave);
    change(ECHOE | ECHOK | ECHOKE | ECHOCTL, ECHO);
    type("ab\177\003\025c\n");
    show("plain echo", master);
    tcflush(slave, TCIFLUSH);
    show("flushed", slave);
    // A read is for the lines that were there: changing to raw gives the rest at once.
    type("held");
    change(ICANON, 0);
    show("no longer canonical", slave);
    close_pair();
}

static void set_raw(int min, int time) {
    struct termios t;
    tcgetattr(slave, &t);
    t.c_iflag = 0;
    t.c_oflag = 0;
    t.c_lflag = 0;
    t.c_cc[VMIN] = min;
    t.c_cc[VTIME] = time;
    tcsetattr(slave, TCSANOW, &t);
}

static long ms_of_read(size_t count, long *result) {
    char buf[64];
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    *result = read(slave, buf, count);
    clock_gettime(CLOCK_MONOTONIC, &b);
    return (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
}

static void raw(void) {
    long result;
    open_pair();
    set_raw(1, 0);
    type("a\003\004\n\177");
    show("raw", slave);
    show("raw echo", master);
    set_raw(0, 0);
    SHOW((ms_of_read(8, &result), result));
    type("x");
    SHOW((ms_of_read(8, &result), result));
    set_raw(0, 2);
    CHECK(ms_of_read(8, &result) >= 190);
    SHOW(result);
    type("y");
    CHECK(ms_of_read(8, &result) < 150);
    SHOW(result);
    set_raw(3, 0);
    type("ab");
    SHOW(events(slave));
    show("fewer than VMIN", slave);
    type("cde");
    SHOW(events(slave));
    SHOW((ms_of_read(4, &result), result));
    set_raw(3, 1);
    type("fgh");
    SHOW((ms_of_read(4, &result), result));
    type("ab");
    CHECK(ms_of_read(4, &result) >= 90);
    SHOW(result);
    set_raw(5, 0);
    type("abc");
    SHOW((ms_of_read(3, &result), result));
    // Bytes in every value pass through.
    set_raw(1, 0);
    unsigned char all[256], back[256];
    for (int i = 0; i < 256; i++) all[i] = i;
    write(master, all, 256);
    int got = 0;
    while (got < 256) got += read(slave, back + got, 256 - got);
    CHECK(!memcmp(all, back, 256));
    write(slave, all, 256);
    got = 0;
    while (got < 256) got += read(master, back + got, 256 - got);
    CHECK(!memcmp(all, back, 256));
    // Flow control by call.
    tcflow(slave, TCOOFF);
    fcntl(slave, F_SETFL, fcntl(slave, F_GETFL) | O_NONBLOCK);
    SHOW(write(slave, "held", 4));
    show("stopped output", master);
    tcflow(slave, TCOON);
    SHOW(write(slave, "free", 4));
    show("started output", master);
    SHOW(tcflush(slave, 77));
    SHOW(tcflow(slave, 77));
    SHOW(ioctl(slave, TIOCSTI, "z"));
    show("simulated input", slave);
    close_pair();
}

static volatile int seen[65];

static void on_signal(int signal) {
    seen[signal]++;
}

static void catch (int signal) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(signal, &action, NULL);
}

static void wait_for(int signal) {
    for (int i = 0; i < 2000 && !seen[signal]; i++) sleep_ms(1);
    printf("signal %d: %d\n", signal, seen[signal]);
    seen[signal] = 0;
    fflush(stdout);
}

// In a session of its own.
static void session(void) {
    int other, group;
    SHOW(setsid() == getpid());
    open_pair();
    SHOW(open("/dev/tty", O_RDWR));
    SHOW(tcgetpgrp(slave));
    SHOW(tcgetsid(slave));
    SHOW(ioctl(slave, TIOCSCTTY, 0));
    SHOW(ioctl(slave, TIOCSCTTY, 0));
    CHECK(tcgetpgrp(slave) == getpid());
    CHECK(tcgetsid(slave) == getpid());
    CHECK(tcgetsid(master) == getpid());
    int tty = open("/dev/tty", O_RDWR);
    CHECK(tty >= 0);
    SHOW(write(tty, "via tty\n", 8));
    show("master", master);
    close(tty);
    catch (SIGINT);
    catch (SIGQUIT);
    catch (SIGWINCH);
    catch (SIGTTOU);
    catch (SIGTTIN);
    catch (SIGHUP);
    catch (SIGCONT);
    type("discarded\003");
    wait_for(SIGINT);
    show("flushed by the signal", slave);
    show("echo", master);
    type("\034");
    wait_for(SIGQUIT);
    change(0, NOFLSH);
    type("kept\003\n");
    wait_for(SIGINT);
    show("kept", slave);
    show("echo", master);
    struct winsize size = {10, 20, 0, 0};
    SHOW(ioctl(master, TIOCSWINSZ, &size));
    wait_for(SIGWINCH);
    SHOW(ioctl(master, TIOCSWINSZ, &size));
    SHOW(seen[SIGWINCH]);
    SHOW(ioctl(slave, TIOCGPGRP, wild));
    SHOW(tcsetpgrp(slave, -1));
    SHOW(tcsetpgrp(slave, 99999));
    SHOW(tcsetpgrp(slave, 1));
    // A background group: reads stop it, writes only with TOSTOP; orphaned ones fail.
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        setpgid(0, 0);
        char c;
        signal(SIGTTIN, SIG_DFL);
        signal(SIGTTOU, SIG_DFL);
        SHOW(write(slave, "background\n", 11));
        SHOW(read(slave, &c, 1));
        SHOW(c);
        change(0, TOSTOP);
        SHOW(write(slave, "stopped?\n", 9));
        signal(SIGTTIN, SIG_IGN);
        SHOW(read(slave, &c, 1));
        signal(SIGTTOU, SIG_IGN);
        SHOW(write(slave, "ignored\n", 8));
        SHOW(tcsetpgrp(slave, getpid()));
        CHECK(tcgetpgrp(slave) == getpid());
        exit(0);
    }
    int status;
    setpgid(child, child);
    waitpid(child, &status, WUNTRACED);
    show_status("background read", status);
    show("background output", master);
    SHOW(tcsetpgrp(slave, child));
    type("q\n");
    kill(-child, SIGCONT);
    // In the foreground now; put it back behind once it has read.
    signal(SIGTTOU, SIG_IGN);
    while (pending(slave) > 1) sleep_ms(1);
    sleep_ms(20);
    waitpid(child, &status, WUNTRACED);
    show_status("foreground", status);
    show("output", master);
    CHECK(ioctl(slave, TIOCGPGRP, &group) == 0 && group != getpgrp());
    SHOW(tcsetpgrp(slave, getpgrp()));
    tcflush(slave, TCIOFLUSH);
    change(TOSTOP, 0);
    // ^Z stops the foreground group.
    catch (SIGCHLD);
    fflush(stdout);
    child = fork();
    if (!child) {
        setpgid(0, 0);
        signal(SIGTSTP, SIG_DFL);
        tcsetpgrp(slave, getpid());
        write(slave, "!", 1);
        for (;;) pause();
    }
    setpgid(child, child);
    char c = 0;
    while (c != '!') read(master, &c, 1);
    type("\032");
    waitpid(child, &status, WUNTRACED);
    show_status("^Z", status);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    show("echo", master);
    SHOW(tcsetpgrp(slave, getpgrp()));
    SHOW(ioctl(master, TIOCSIG, SIGINT));
    wait_for(SIGINT);
    SHOW(ioctl(master, TIOCSIG, 99));
    // Giving up the terminal: the leader's group hears of it.
    int copy = dup(slave);
    SHOW(ioctl(slave, TIOCNOTTY));
    wait_for(SIGHUP);
    wait_for(SIGCONT);
    SHOW(ioctl(slave, TIOCNOTTY));
    SHOW(open("/dev/tty", O_RDWR));
    SHOW(tcgetpgrp(copy));
    SHOW(ioctl(copy, TIOCSCTTY, 0));
    // The master goes: hang-up.
    type("left\n");
    other = master;
    close(other);
    wait_for(SIGHUP);
    SHOW(read(slave, &c, 1));
    SHOW(write(slave, &c, 1));
    printf("events %x\n", events(slave));
    SHOW(tcgetpgrp(slave));
    struct termios t;
    SHOW(tcgetattr(slave, &t));
    exit(7);
}

static void hangups(void) {
    open_pair();
    write(slave, "last words\n", 11);
    close(slave);
    printf("events %x\n", events(master));
    show("last words", master);
    show("then", master);
    printf("events %x\n", events(master));
    slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
    OK(slave);
    show("open again", master);
    close_pair();
    // A reader that waits hears of the hang-up.
    open_pair();
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        close(master);
        char c;
        long result = read(slave, &c, 1);
        _exit(result < 0 ? errno : 100 + result);
    }
    sleep_ms(40);
    close_pair();
    int status;
    waitpid(child, &status, 0);
    show_status("waiting reader", status);
    // The leader of a session ends: its foreground group gets SIGHUP.
    open_pair();
    child = fork();
    if (!child) {
        setsid();
        ioctl(slave, TIOCSCTTY, 0);
        pid_t member = fork();
        if (!member) {
            signal(SIGHUP, SIG_DFL);
            write(slave, "r", 1);
            for (;;) pause();
        }
        char c;
        read(master, &c, 1);
        _exit(0);
    }
    waitpid(child, &status, 0);
    show_status("leader", status);
    close_pair();
}

static void packets(void) {
    int on = 1, off = 0, state = 7;
    open_pair();
    SHOW(ioctl(master, TIOCPKT, &on));
    SHOW(ioctl(master, TIOCGPKT, &state));
    SHOW(state);
    SHOW(ioctl(slave, TIOCPKT, &on));
    write(slave, "data\n", 5);
    show("packet", master);
    show("packet", master);
    tcflush(slave, TCIFLUSH);
    printf("events %x\n", events(master));
    show("flush", master);
    tcflow(slave, TCOOFF);
    show("stop", master);
    tcflow(slave, TCOON);
    show("start", master);
    struct termios t;
    tcgetattr(slave, &t);
    t.c_iflag &= ~IXON;
    tcsetattr(slave, TCSANOW, &t);
    show("no flow control", master);
    t.c_iflag |= IXON;
    tcsetattr(slave, TCSANOW, &t);
    show("flow control", master);
    SHOW(ioctl(master, TIOCPKT, &off));
    write(slave, "plain", 5);
    show("plain", master);
    SHOW(ioctl(slave, TIOCEXCL));
    SHOW(ioctl(slave, TIOCGEXCL, &state));
    SHOW(state);
    SHOW(ioctl(slave, TIOCNXCL));
    SHOW(ioctl(slave, TIOCOUTQ, &state));
    SHOW(ioctl(slave, TIOCGSID, &state));
    SHOW(ioctl(slave, TIOCMGET, &state));
    SHOW(ioctl(slave, TIOCGETD, &state));
    SHOW(state);
    SHOW(ioctl(slave, FIONBIO, &on));
    char c;
    SHOW(read(slave, &c, 1));
    SHOW(tcdrain(slave));
    SHOW(tcsendbreak(slave, 0));
    close_pair();
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    opening();
    canonical();
    raw();
    hangups();
    packets();
    fflush(stdout);
    pid_t child = fork();
    if (!child) session();
    int status;
    waitpid(child, &status, 0);
    show_status("session", status);
    return 0;
}
