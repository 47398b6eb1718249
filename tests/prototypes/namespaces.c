// A template in namespaces of its own (user, ipc, mount, net, made once) forks workers for the zygote, each as process 1
// of a pid namespace. Which signals and limits no longer end such a worker, and what does instead? What does it cost?
#include "common.h"
#include <sys/mount.h>

enum { PLAIN, TIMER_KILL, TIMER_XCPU, HANDLED_XCPU, RLIMIT, RAISE_TERM, RAISE_KILL, ABORT, CRASH, WAITS, TREE, REACH };
static const char *names[] = {"exits", "CPU timer, SIGKILL", "CPU timer, SIGXCPU by default", "CPU timer, SIGXCPU with a handler that exits",
    "RLIMIT_CPU, hard", "raise(SIGTERM)", "raise(SIGKILL)", "abort()", "a null pointer"};
static pid_t *noted, outside;
static volatile int *say;

static void burn(int ms) {
    struct timespec t;
    do clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); while (t.tv_sec * 1000 + t.tv_nsec / 1000000 < ms);
}
static void leave(int signal) { _exit(128 + signal); }

static void worker(int what) {
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = what == TIMER_KILL ? SIGKILL : SIGXCPU};
    struct itimerspec in = {{0, 0}, {0, 20000000}};
    timer_t timer;
    signal(SIGUSR1, leave);
    if (what == HANDLED_XCPU) signal(SIGXCPU, leave);
    if (what >= TIMER_KILL && what <= HANDLED_XCPU) timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer), timer_settime(timer, 0, &in, 0), burn(100);
    if (what == RLIMIT) setrlimit(RLIMIT_CPU, &(struct rlimit){1, 1}), burn(2500);
    if (what == RAISE_TERM) raise(SIGTERM);
    if (what == RAISE_KILL) raise(SIGKILL);
    if (what == ABORT) abort();
    if (what == CRASH) *(volatile int *)8 = 1;
    if (what == REACH) _exit(kill(outside, 0) == 0 || errno != ESRCH || syscall(SYS_ptrace, 0x4206, outside, 0, 0) == 0);
    if (what == TREE) for (int i = 0; i < 50; i++) if (!fork()) { setsid(); if (!fork()) { __sync_fetch_and_add(say, 1); for (;;) pause(); } _exit(0); }
    if (what == WAITS || what == TREE) { prctl(PR_SET_PDEATHSIG, SIGKILL); say[1] = 1; for (;;) pause(); }
    _exit(0);
}

static int settle(int flags) { // into the namespaces; 0, or the step that failed
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (unshare(flags)) return 1;
    char map[64];
    if (flags & CLONE_NEWUSER) {
        const char *files[] = {"/proc/self/setgroups", "/proc/self/gid_map", "/proc/self/uid_map"};
        for (int i = 0; i < 3; i++) {
            int n = i ? snprintf(map, sizeof map, "%u %u 1", i == 1 ? gid : uid, i == 1 ? gid : uid) : snprintf(map, sizeof map, "deny");
            int fd = open(files[i], O_WRONLY);
            if (fd < 0 || write(fd, map, n) != n) return 2 + i;
            close(fd);
        }
    }
    return 0;
}

static void template(int orders, int flags) {
    int what;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    outside = getpid();
    say[2] = settle(flags) + 1;
    while (read(orders, &what, sizeof what) == sizeof what) {
        long child = raw_fork(CLONE_PARENT | CLONE_NEWPID | SIGCHLD, noted);
        if (!child) worker(what);
        if (child < 0) *noted = -errno;
    }
    _exit(0);
}

static pid_t ask(int fd, int what) {
    *noted = 0, say[0] = say[1] = 0;
    write(fd, &what, sizeof what);
    while (!*(volatile pid_t *)noted) ;
    if (what == WAITS || what == TREE) while (!say[1] || (what == TREE && *say < 50)) usleep(50);
    return *noted;
}

static const char *ending(int status) {
    static char text[64];
    if (WIFSIGNALED(status)) snprintf(text, sizeof text, "dies of SIG%s", sigabbrev_np(WTERMSIG(status)));
    else snprintf(text, sizeof text, "exit %d", WEXITSTATUS(status));
    return text;
}

static int probe(int flags) { // the whole chain, in a child: what a later step denies must be found here
    int step = settle(flags);
    if (step) return step;
    pid_t p = raw_fork(CLONE_NEWPID | SIGCHLD, 0);
    int status;
    if (p < 0) return 5;
    if (!p) {
        if (mount(0, "/", 0, MS_REC | MS_PRIVATE, 0)) _exit(6);
        if (mount("none", "/tmp", "tmpfs", 0, 0)) _exit(7);
        mkdir("/tmp/usr", 0755), mkdir("/tmp/proc", 0755);
        if (mount("/usr", "/tmp/usr", 0, MS_BIND | MS_REC, 0)) _exit(8);
        int proc = mount("proc", "/tmp/proc", "proc", 0, 0) ? 32 : 0;
        if (chdir("/tmp") || syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH)) _exit(9 | proc);
        _exit(access("/etc", F_OK) == 0 ? 10 | proc : proc);
    }
    waitpid(p, &status, 0);
    return WEXITSTATUS(status);
}

int main(void) {
    int flags = CLONE_NEWIPC | CLONE_NEWNS | CLONE_NEWNET | (geteuid() ? CLONE_NEWUSER : 0), status, orders[2];
    noted = shared(4096), say = shared(4096);
    double t = now();
    pid_t p = fork();
    if (!p) _exit(probe(flags));
    waitpid(p, &status, 0);
    printf("info  the whole chain, probed in a child in %.0f us: %s at step %d%s\n", now() - t, WEXITSTATUS(status) & 31 ? "denied" : "granted", WEXITSTATUS(status) & 31, WEXITSTATUS(status) & 32 ? ", a fresh /proc denied" : "");
    pipe2(orders, O_CLOEXEC);
    pid_t te = fork();
    if (!te) template(orders[0], flags);
    while (!say[2]) usleep(100);
    if (say[2] != 1) { printf("info  no namespaces here: step %d\n", say[2] - 1); return 0; }
    for (int what = PLAIN; what < WAITS; what++) {
        if (!(p = fork())) worker(what);
        waitpid(p, &status, 0);
        char plain[64];
        strcpy(plain, ending(status));
        p = ask(orders[1], what);
        waitpid(p, &status, 0);
        printf("info  %-46s plain: %-16s process 1: %s\n", names[what], plain, ending(status));
    }
    p = ask(orders[1], WAITS);
    kill(p, SIGTERM), usleep(20000);
    claim(waitpid(p, &status, WNOHANG) == 0, "SIGTERM from outside is lost on a process 1 without a handler");
    pid_t other = ask(orders[1], WAITS);
    kill(other, SIGUSR1), waitpid(other, &status, 0);
    claim(WEXITSTATUS(status) == 128 + SIGUSR1, "a signal from outside reaches a handler there");
    kill(p, SIGSTOP);
    claim(waitpid(p, &status, WUNTRACED) == p && WIFSTOPPED(status), "SIGSTOP from outside stops it");
    struct timespec used;
    t = now();
    int read_it = clock_gettime((~p) << 3 | 2, &used);
    claim(read_it == 0, "its CPU clock can be read from outside by its pid (%.1f us)", now() - t);
    kill(p, SIGKILL), waitpid(p, &status, 0);
    claim(WTERMSIG(status) == SIGKILL, "SIGKILL from outside kills it");
    waitpid(ask(orders[1], REACH), &status, 0);
    claim(WEXITSTATUS(status) == 0, "it can neither signal nor trace the template: it has no number for it");
    p = ask(orders[1], TREE);
    char path[64];
    t = now();
    kill(p, SIGKILL), waitpid(p, &status, 0);
    t = now() - t;
    claim(waitpid(-1, &status, WNOHANG) == 0, "50 escaped processes die with it before it is reaped (%.1f ms), none comes up", t / 1e3);
    enum { R = 300 };
    static double plain[R], walled[R];
    for (int i = 0; i < R; i++) {
        t = now();
        if (!(p = fork())) _exit(0);
        waitpid(p, &status, 0), plain[i] = now() - t;
        t = now();
        waitpid(ask(orders[1], PLAIN), &status, 0), walled[i] = now() - t;
    }
    printf("cost  fork+exit+wait: plain %.0f us, from the template in namespaces with a pid namespace each %.0f us\n", median(plain, R), median(walled, R));
    // the zygote dies: PDEATHSIG comes from outside the namespace, so it kills
    if (!(p = fork())) {
        pipe2(orders, O_CLOEXEC);
        if (!fork()) template(orders[0], flags);
        ask(orders[1], WAITS), say[3] = *noted;
        _exit(0);
    }
    waitpid(p, &status, 0);
    int fd = pidfd(say[3]);
    claim(fd < 0 || is_over(fd, 1000), "PDEATHSIG ends it when the zygote dies");
    kill(te, SIGKILL);
    return failures;
}
