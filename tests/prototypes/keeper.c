// The guard as keeper of orphans: it is a subreaper and the zygote is not, so what a dead worker leaves goes past the
// zygote. How does the zygote know, at the price of next to nothing, that a dead worker left nothing? What does a bomb
// of processes cost it? And if the guard dies?
#include "common.h"

enum { BOMB = 1500, R = 300 };
struct board { volatile pid_t guard, zygote, worker; volatile int bombs, wanted, clean, phase; volatile double cleaned; };
static struct board *board;

static void guard_loop(void) { // kills at sight what is its child and not the zygote; answers when nothing is left
    static pid_t found[8192];
    int list = children_file(getpid()), status;
    for (;;) {
        syscall(SYS_futex, &board->wanted, 0, board->clean, 0, 0, 0);
        int asked = board->wanted, left;
        do { // the zygote was cloned with another exit signal, so a plain wait meets orphans alone
            left = 0;
            for (int i = 0, n = children(list, found, 8192); i < n; i++)
                if (found[i] != board->zygote) kill(found[i], SIGKILL), left++;
            while (waitpid(-1, &status, WNOHANG) > 0)
                ;
        } while (left || !(waitpid(-1, &status, WNOHANG) == -1 && errno == ECHILD));
        board->cleaned = now();
        board->clean = asked;
        syscall(SYS_futex, &board->clean, 1, 1, 0, 0, 0);
    }
}

static void escape(void) { // one that leaves the group and the session, with a double fork
    if (!fork()) {
        setsid();
        if (!fork()) { __sync_fetch_and_add(&board->bombs, 1); for (;;) pause(); }
        _exit(0);
    }
}

static pid_t worker(int orphans) {
    board->bombs = 0;
    pid_t p = raw_fork(SIGRTMIN + 1, 0);
    if (p) return p;
    prctl(PR_SET_PDEATHSIG, SIGKILL), prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int i = 0; i < orphans; i++) escape();
    if (!orphans) _exit(0);
    for (;;) pause();
}

static void zygote(void) {
    static pid_t found[8192];
    int guards = children_file(board->guard), own = children_file(getpid()), status, watch = pidfd(board->guard);
    static double look[R], ask[R];
    for (int i = 0; i < R; i++) { // the common case: nothing was left
        waitpid(worker(0), &status, __WALL);
        double t = now();
        int others = children(guards, found, 8192) - 1;
        look[i] = now() - t;
        if (others) claim(0, "nothing was left");
        t = now();
        board->wanted++;
        syscall(SYS_futex, &board->wanted, 1, 1, 0, 0, 0);
        while (board->clean != board->wanted) syscall(SYS_futex, &board->clean, 0, board->wanted - 1, 0, 0, 0);
        ask[i] = now() - t;
    }
    printf("cost  nothing left: a look at the guard's list %.1f us, asking the guard %.1f us\n", median(look, R), median(ask, R));
    pid_t p = worker(3);
    while (board->bombs < 3) usleep(100);
    kill(p, SIGKILL), waitpid(p, &status, __WALL);
    claim(children(guards, found, 8192) > 1, "orphans of a dead worker are seen at once in the guard's list");
    claim(waitpid(-1, &status, WNOHANG | __WALL) == -1 && errno == ECHILD, "and never come to the zygote");
    board->wanted++, syscall(SYS_futex, &board->wanted, 1, 1, 0, 0, 0);
    while (board->clean != board->wanted) usleep(50);
    claim(children(guards, found, 8192) == 1, "the guard says clean when they are gone");
    // a bomb, while the zygote serves a deadline each millisecond
    p = worker(BOMB);
    while (board->bombs < BOMB) usleep(1000);
    double begun = now(), late = 0;
    kill(p, SIGKILL), waitpid(p, &status, __WALL);
    board->wanted++, syscall(SYS_futex, &board->wanted, 1, 1, 0, 0, 0);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    while (board->clean != board->wanted) {
        double due = now() + 1000;
        usleep(1000);
        if (now() - due > late) late = now() - due;
    }
    getrusage(RUSAGE_SELF, &after);
    printf("cost  %d escaped processes: gone after %.0f ms; meanwhile a deadline of the zygote was at most %.1f ms late\n", BOMB, (board->cleaned - begun) / 1e3, late / 1e3);
    // the guard dies: the zygote takes its place, first as a subreaper, then killing
    p = worker(3);
    while (board->bombs < 3) usleep(100);
    kill(board->guard, SIGKILL);
    is_over(watch, 1000);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    kill(p, SIGKILL), waitpid(p, &status, __WALL);
    int n = children(own, found, 8192);
    claim(n == 6, "the guard dead, the zygote becomes a subreaper: what a worker leaves comes to it (3, and 3 zombies)");
    for (int i = 0; i < n; i++) kill(found[i], SIGKILL);
    board->phase = 1 + failures;
    exit(failures);
}

int main(void) {
    board = shared(4096);
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, SIGRTMIN + 1), sigprocmask(SIG_BLOCK, &set, 0); // by default it kills
    pid_t guard = fork();
    if (!guard) {
        board->guard = getpid();
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        pid_t z = raw_fork(SIGRTMIN + 1, 0);
        if (!z) { board->zygote = getpid(); zygote(); }
        board->zygote = z;
        guard_loop();
    }
    int status;
    waitpid(guard, &status, 0);
    while (!board->phase) usleep(1000);
    kill(board->zygote, SIGKILL);
    return board->phase - 1;
}
