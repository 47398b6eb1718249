// A template forks workers for its parent, the zygote. Is the zygote parent and reaper? Do glibc's books agree? What
// happens in pid namespaces, when the template dies, and when a worker turns against it?
#include "common.h"
#include <pthread.h>

static pid_t *pids;      // what the kernel notes for the template: the worker's pid, in the zygote's view
static int *answers;     // what a worker says of itself
static int order[2];     // zygote -> template: slot and flags

struct order { int slot; unsigned long flags; int what; };
enum { CHECK, SLEEP, KILL_TEMPLATE, UNREPAIRED };

static void worker(struct order *o, pid_t zygote, pid_t template) {
    int *say = answers + 8 * o->slot;
    pthread_mutex_t mutex;
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&mutex, &attributes);
    pthread_mutex_lock(&mutex);
    clockid_t clock;
    struct timespec used;
    say[0] = getppid();
    say[1] = getpid();
    say[2] = ((pid_t *)tid_address() ? *tid_address() : -1) == (pid_t)syscall(SYS_gettid);
    say[3] = pthread_getcpuclockid(pthread_self(), &clock) == 0 && clock_gettime(clock, &used) == 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (o->what == KILL_TEMPLATE) {
        say[4] = kill(template, 0) == 0;
        say[5] = syscall(SYS_ptrace, 0x4206 /* SEIZE: does not stop it */, template, 0, 0) == 0;
        say[6] = syscall(SYS_ptrace, 0x4206, zygote, 0, 0) == 0;
    }
    say[7] = 1;
    syscall(SYS_futex, say + 7, 1 /* WAKE */, 1, 0, 0, 0);
    if (o->what == SLEEP || o->what == KILL_TEMPLATE)
        pause();
    _exit(7);
}

static void template(pid_t zygote) {
    struct order o;
    signal(SIGCHLD, SIG_IGN); // what a careless preload does
    while (read(order[0], &o, sizeof o) == sizeof o) {
        pid_t self = getpid();
        long child = o.what == UNREPAIRED ? syscall(SYS_clone, CLONE_PARENT | CLONE_PARENT_SETTID | SIGCHLD, 0, pids + o.slot, 0, 0)
                                          : raw_fork(CLONE_PARENT | SIGCHLD | o.flags, pids + o.slot);
        if (child == 0)
            worker(&o, zygote, self);
        if (child < 0)
            pids[o.slot] = -errno;
    }
    _exit(0);
}

static pid_t ask(int slot, unsigned long flags, int what) {
    struct order o = {slot, flags, what};
    write(order[1], &o, sizeof o);
    while (!*(volatile pid_t *)(pids + slot)) usleep(20);
    while (pids[slot] > 0 && !((volatile int *)answers)[8 * slot + 7]) usleep(20);
    return pids[slot];
}

int main(void) {
    pids = shared(4096), answers = shared(4096);
    pipe2(order, O_CLOEXEC);
    pid_t zygote = getpid(), t = fork();
    int status, *a = answers;
    if (!t)
        template(zygote);
    pid_t one = ask(0, 0, CHECK);
    claim(waitpid(one, &status, 0) == one && WEXITSTATUS(status) == 7, "zygote reaps a worker of a template that ignores SIGCHLD");
    claim(a[0] == zygote && a[1] == one, "the worker's parent is the zygote");
    claim(a[2] && a[3], "its thread id is right in glibc's books (PR_GET_TID_ADDRESS), CPU clock works");
    waitpid(ask(1, 0, UNREPAIRED), &status, 0);
    claim(!a[8 + 2], "without the repair it is the template's");
    int namespaces = geteuid() == 0 ? CLONE_NEWPID : 0;
    if (namespaces) {
        pid_t three = ask(2, CLONE_NEWPID, CHECK);
        claim(three > 1 && waitpid(three, &status, 0) == three && WEXITSTATUS(status) == 7, "CLONE_PARENT|CLONE_NEWPID: reaped, and its pid outside was noted");
        claim(a[16] == 0 && a[17] == 1, "inside it is process 1 and getppid is 0");
    }
    // the exit signal is the template's own: a template that was made with a real-time signal hands it on
    int number = SIGRTMIN + 1;
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, number), sigprocmask(SIG_BLOCK, &set, 0);
    pid_t told = raw_fork(number, 0);
    if (!told) {
        if (!raw_fork(CLONE_PARENT | namespaces | SIGCHLD, pids + 9)) _exit(0);
        pause();
    }
    siginfo_t info = {0};
    sigwaitinfo(&set, &info);
    claim(info.si_pid == pids[9] && wait4(info.si_pid, &status, __WALL, 0) == info.si_pid, "a template's own exit signal tells the zygote the number of a dead worker");
    kill(told, SIGKILL), waitpid(told, &status, __WALL);
    pid_t four = ask(3, 0, KILL_TEMPLATE);
    printf("info  an unsandboxed worker may signal the template: %s, ptrace template: %s, zygote: %s\n", a[28] ? "yes" : "no", a[29] ? "yes" : "no", a[30] ? "yes" : "no");
    kill(four, SIGKILL);
    waitpid(four, &status, 0);
    pid_t five = ask(4, 0, SLEEP);
    kill(t, SIGKILL);
    claim(waitpid(t, &status, 0) == t, "the template is killed");
    claim(kill(five, 0) == 0 && waitpid(five, &status, WNOHANG) == 0, "its worker lives on, still the zygote's child");
    kill(five, SIGKILL);
    waitpid(five, &status, 0);
    // a zygote that dies takes workers of a template with it
    pid_t z = fork();
    if (!z) {
        memset(pids, 0, 4096), memset(answers, 0, 4096);
        pipe2(order, O_CLOEXEC);
        if (!(t = fork())) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            template(getppid());
        }
        ask(0, 0, SLEEP);
        pids[1] = t;
        kill(getpid(), SIGKILL);
    }
    waitpid(z, &status, 0);
    int file = pidfd(pids[0]);
    claim(file < 0 || is_over(file, 1000), "PDEATHSIG reaches it when the zygote dies");
    // a template that is process 1
    if (namespaces) {
        pid_t init = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
        if (!init) {
            long child = raw_fork(CLONE_PARENT | SIGCHLD, 0);
            if (!child) _exit(0);
            _exit(child < 0 && errno == EINVAL);
        }
        waitpid(init, &status, 0);
        claim(WEXITSTATUS(status) == 1, "a template that is process 1 of a namespace: EINVAL");
    }
    // what it costs: fork + exit + wait, through a template and without, interleaved
    enum { R = 400 };
    static double own[R], with[R], pidns[R];
    memset(pids, 0, 4096);
    int back[2];
    pipe2(order, O_CLOEXEC), pipe(back);
    pid_t tt = fork();
    if (!tt) {
        unsigned long flags;
        while (read(order[0], &flags, sizeof flags) == sizeof flags)
            if (raw_fork(CLONE_PARENT | SIGCHLD | flags, pids) == 0) _exit(0);
        _exit(0);
    }
    for (int i = 0; i < R; i++) {
        double t0 = now();
        pid_t p = fork();
        if (!p) _exit(0);
        waitpid(p, &status, 0), own[i] = now() - t0;
        for (int k = 0; k < (namespaces ? 2 : 1); k++) {
            unsigned long flags = k ? CLONE_NEWPID : 0;
            t0 = now();
            write(order[1], &flags, sizeof flags);
            waitid(P_ALL, 0, &(siginfo_t){0}, WEXITED), (k ? pidns : with)[i] = now() - t0;
        }
    }
    printf("cost  fork+exit+wait: by itself %.0f us, through the template %.0f us, with a pid namespace %.0f us\n", median(own, R), median(with, R), namespaces ? median(pidns, R) : 0);
    kill(tt, SIGKILL);
    return failures;
}
