// Supervisors that no wait() of the host meets: an intermediate process whose end sends no signal (exit_signal 0, which
// wait() passes over) shares the host's memory for an instant, starts the guard, and is gone. The host's pidfd is
// inherited, the guard's comes back over the ring. Who notices whose death, and what if the host is a subreaper?
#include "common.h"

static int sigchlds;
static void count_one(int signal) { (void)signal, sigchlds++; }

struct start { int ring, host; char *self; };

static int grandchild(void *with) { // runs in the host's memory, on its own stack, until exec
    struct start *s = with;
    setpgid(0, 0);
    dup2(s->ring, 3), dup2(s->host, 4);
    char *argv[] = {s->self, "guard", 0};
    execv(s->self, argv);
    _exit(127);
}

static int intermediate(void *with) {
    static char stack[65536] __attribute__((aligned(16)));
    clone(grandchild, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, with);
    _exit(0);
}

// Returns the ring; *guard gets the guard's pidfd.
static int start(char *self, int *guard, pid_t *its_pid) {
    static char stack[65536] __attribute__((aligned(16)));
    int ring[2], own = pidfd(getpid());
    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ring);
    int ours = fcntl(ring[0], F_DUPFD_CLOEXEC, 10), theirs = fcntl(ring[1], F_DUPFD_CLOEXEC, 10), host = fcntl(own, F_DUPFD_CLOEXEC, 10);
    close(ring[0]), close(ring[1]), close(own);
    struct start s = {theirs, host, self};
    sigset_t all, before;
    sigfillset(&all), sigprocmask(SIG_SETMASK, &all, &before); // as posix_spawn does
    pid_t middle = clone(intermediate, stack + sizeof stack, CLONE_VM | CLONE_VFORK | 0, &s);
    sigprocmask(SIG_SETMASK, &before, 0);
    int status;
    waitpid(middle, &status, __WCLONE); // it is over already: vfork
    close(theirs), close(host);
    *guard = -1;
    receive_fds(ours, its_pid, sizeof *its_pid, guard, 1);
    return ours;
}

static int be_guard(void) {
    sigset_t none;
    sigemptyset(&none), sigprocmask(SIG_SETMASK, &none, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    int own = pidfd(getpid());
    pid_t pid = getpid();
    send_fds(3, &pid, sizeof pid, &own, 1);
    struct pollfd files[] = {{4, POLLIN, 0}, {3, 0, 0}};
    poll(files, 2, 20000);
    return files[0].revents ? 42 : 43;
}

int main(int count, char **arguments) {
    if (count > 1 && !strcmp(arguments[1], "guard"))
        return be_guard();
    signal(SIGCHLD, count_one);
    char *self = realpath("/proc/self/exe", 0);
    int guard, status;
    pid_t pid;
    int ring = start(self, &guard, &pid);
    claim(guard >= 0 && !is_over(guard, 0), "a guard runs, and the host has its pidfd");
    claim(waitpid(-1, &status, WNOHANG) == -1 && errno == ECHILD, "wait() for all children meets nothing: ECHILD");
    claim(sigchlds == 0, "no SIGCHLD came");
    kill(pid, SIGKILL);
    claim(is_over(guard, 1000), "the host sees its death by the pidfd, whoever reaps it");
    static double look[1000];
    for (int i = 0; i < 1000; i++) {
        double t = now();
        for (int k = 0; k < 10; k++) is_over(guard, 0);
        look[i] = (now() - t) / 10;
    }
    printf("cost  a look at the pidfd %.2f us\n", median(look, 1000));
    close(ring), close(guard);
    // a host that dies
    int *say = shared(4096);
    pid_t host = fork();
    if (!host) {
        int its, fd = start(self, &its, say);
        say[1] = 1;
        pause();
    }
    while (!((volatile int *)say)[1]) usleep(100);
    int its = pidfd(say[0]);
    kill(host, SIGKILL);
    waitpid(host, &status, 0);
    claim(is_over(its, 1000), "the guard sees the host's death by the pidfd it inherited: no id, no getppid");
    // a host that changes to nobody is still seen
    if (geteuid() == 0) {
        memset(say, 0, 8);
        if (!(host = fork())) {
            int its, fd = start(self, &its, say);
            setresuid(65534, 65534, 65534);
            say[2] = kill(say[0], 0) != 0 && errno == EPERM, say[3] = !is_over(its, 0), say[1] = 1;
            pause();
        }
        while (!((volatile int *)say)[1]) usleep(100);
        its = pidfd(say[0]);
        kill(host, SIGKILL), waitpid(host, &status, 0);
        claim(say[2] && say[3] && is_over(its, 1000), "after setresuid: kill is EPERM, both pidfds still tell");
    }
    // a host that is a subreaper meets it
    sigchlds = 0;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    ring = start(self, &guard, &pid);
    claim(waitpid(-1, &status, WNOHANG) == 0, "a host that is a subreaper (or process 1) does meet it");
    close(ring);
    claim(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 43, "it ends when the ring is closed, and the host reaps it by its id");
    // what it costs, beside posix_spawn of the same program
    static double ours[60], plain[60];
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    for (int i = 0; i < 60; i++) {
        double t = now();
        close(start(self, &guard, &pid));
        ours[i] = now() - t, is_over(guard, 2000), close(guard);
        int r[2], g;
        t = now();
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, r);
        pid_t p = vfork();
        if (!p) { dup2(r[1], 3), dup2(open("/dev/null", O_RDONLY), 4); execl(self, self, "guard", (char *)0); _exit(1); }
        close(r[1]), receive_fds(r[0], &pid, sizeof pid, &g, 1);
        plain[i] = now() - t;
        close(r[0]), close(g), waitpid(p, &status, 0);
    }
    printf("cost  start to first word: this way %.0f us, as a direct child %.0f us\n", median(ours, 60), median(plain, 60));
    return failures;
}
