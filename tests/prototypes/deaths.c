// What one more job costs the process that forks, beside N workers that live: how it learns who died (waiting for all,
// reading its list of children, or by the number that a real-time exit signal brings), and what pidfds cost its forks.
#include "common.h"

enum { MOST = 16000, R = 200 };
static pid_t alive[MOST];
static int count, queue, exit_signal;
static sigset_t set;

static void grow(int to) {
    for (; count < to; count++) {
        pid_t p = raw_fork(exit_signal, 0);
        if (!p) { prctl(PR_SET_PDEATHSIG, SIGKILL); for (;;) pause(); }
        if (p < 0) { perror("fork"); exit(1); }
        alive[count] = p;
    }
}

// signalfd polls, but takes such a signal for one of I/O and does not copy its pid; sigtimedwait does.
static pid_t who(void) {
    siginfo_t info;
    return sigtimedwait(&set, &info, &(struct timespec){0, 0}) == exit_signal ? info.si_pid : 0;
}

static pid_t one(int signal) { // the newest child, the last in the kernel's list; it is dead when this returns
    pid_t p = raw_fork(signal, 0);
    if (!p) _exit(3);
    siginfo_t info;
    waitid(P_PID, p, &info, WEXITED | WNOWAIT | __WALL);
    return p;
}

int main(int argc, char **argv) {
    int sizes[] = {10, 1000, 4000, argc > 1 ? atoi(argv[1]) : 4000}, status;
    int list = children_file(getpid());
    exit_signal = SIGRTMIN + 1;
    sigemptyset(&set), sigaddset(&set, exit_signal), sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, 0);
    queue = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    struct rlimit files = {65536, 65536};
    if (setrlimit(RLIMIT_NOFILE, &files)) { getrlimit(RLIMIT_NOFILE, &files); files.rlim_cur = files.rlim_max; setrlimit(RLIMIT_NOFILE, &files); }
    static pid_t found[MOST + 8];
    static double all[R], reading[R], number[R], forks[R], with[R], shared_table[R];
    static int held[MOST];
    for (int s = 0; s < 4 - (argc < 2); s++) {
        grow(sizes[s]);
        int pidfds = 0;
        for (int i = 0; i < R; i++) {
            double t;
            one(SIGCHLD);
            t = now();
            wait4(-1, &status, WNOHANG | __WALL, 0), all[i] = now() - t;
            pid_t p = one(SIGCHLD);
            t = now();
            children(list, found, MOST + 8), waitpid(p, &status, 0), reading[i] = now() - t;
            struct signalfd_siginfo told[16];
            while (read(queue, told, sizeof told) > 0)
                ;
            one(exit_signal);
            t = now();
            p = who();
            if (p <= 0 || wait4(p, &status, WNOHANG | __WALL, 0) != p) claim(0, "the signal named who died");
            number[i] = now() - t;
        }
        // forks: with no descriptor for each, and with one
        for (int half = 0; half < 2; half++) {
            if (half)
                for (int i = 0; i < count && (held[i] = pidfd(alive[i])) >= 0; i++) pidfds++;
            for (int i = 0; i < R; i++) {
                double t = now();
                pid_t p = raw_fork(SIGCHLD, 0);
                if (!p) _exit(0);
                (half ? with : forks)[i] = now() - t, waitpid(p, &status, 0);
                if (!half) continue;
                t = now();
                p = raw_fork(SIGCHLD | CLONE_FILES, 0); // shares the table; the child takes what it keeps and no more
                if (!p) { syscall(SYS_close_range, 3, ~0U, 2 /* UNSHARE */); _exit(0); }
                shared_table[i] = now() - t, waitpid(p, &status, 0);
            }
        }
        for (int i = 0; i < pidfds; i++) close(held[i]);
        printf("cost  %5d alive, one death: wait4(-1) %.1f us, list of children %.0f us, by number %.1f us;  fork %.0f us, with %d pidfds %.0f, sharing their table %.0f\n",
               count, median(all, R), median(reading, R), median(number, R), median(forks, R), pidfds, median(with, R), median(shared_table, R));
        fflush(stdout);
    }
    // none is lost when many die at once
    for (int i = 0; i < count; i++) kill(alive[i], SIGKILL);
    struct signalfd_siginfo told[64];
    int reaped = 0;
    double end = now() + 20e6;
    while (reaped < count && now() < end) {
        struct pollfd file = {queue, POLLIN, 0};
        poll(&file, 1, 100);
        for (pid_t p; (p = who()) > 0;) reaped += wait4(p, &status, WNOHANG | __WALL, 0) == p;
    }
    claim(reaped == count, "%d killed at once: each was told by number", count);
    // a worker that execs is an ordinary child: SIGCHLD
    pid_t p = raw_fork(exit_signal, 0);
    if (!p) { execl("/bin/true", "true", (char *)0); _exit(1); }
    siginfo_t info;
    waitid(P_PID, p, &info, WEXITED | WNOWAIT | __WALL);
    claim(waitid(P_PID, p, &info, WEXITED) == 0 && sigtimedwait(&set, &info, &(struct timespec){0, 0}) == SIGCHLD, "after exec a worker's exit signal is SIGCHLD again, and a plain wait meets it");
    // if the queue is full the signal is lost, so a look at all children must follow at times
    getrlimit(RLIMIT_SIGPENDING, &files);
    files.rlim_cur = 0, setrlimit(RLIMIT_SIGPENDING, &files);
    while (read(queue, told, sizeof told) > 0)
        ;
    p = one(exit_signal);
    claim(read(queue, told, sizeof told) < 0, "with RLIMIT_SIGPENDING = 0 nothing is told");
    claim(wait4(-1, &status, WNOHANG | __WALL, 0) == p, "... and a wait for all finds it");
    return failures;
}
