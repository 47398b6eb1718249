// A preloaded module leaves a thread that allocates. A raw clone(2) copies malloc's locks as they are; glibc's fork() puts
// them right and runs atfork handlers, but takes no flags. How often does a worker hang? And can glibc's own fork() be given
// CLONE_PARENT by syscall user dispatch?
#include "common.h"
#include <malloc.h>
#include <pthread.h>
#include <ucontext.h>

static volatile char selector;
static int *handlers;
static unsigned long extra;

static void *allocate(void *unused) {
    void *blocks[16] = {0};
    for (unsigned seed = 1;;) {
        void **block = blocks + rand_r(&seed) % 16;
        free(*block), *block = malloc(2000 + rand_r(&seed) % 60000);
    }
}
static void in_child(void) { ++*handlers; }

#ifdef __x86_64__
__asm__("restore_: mov $15, %eax\nsyscall_: syscall\n"); // sigreturn, from a range that is not dispatched
extern char restore_[], syscall_[];
// The system call that glibc made inside fork(): made again with our flags.
static void dispatched(int signal, siginfo_t *info, void *context) {
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    selector = 0;
    unsigned long first = r[REG_RDI];
    if (r[REG_RAX] == SYS_clone) first |= extra;
    r[REG_RAX] = syscall(r[REG_RAX], first, r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8], r[REG_R9]);
    if (r[REG_RAX] == (greg_t)-1) r[REG_RAX] = -errno;
    selector = 1;
}
struct kernel_action { void *handler; unsigned long flags; void *restorer; unsigned long mask; };
static int dispatch(void) {
    struct kernel_action action = {dispatched, SA_SIGINFO | SA_NODEFER | 0x04000000 /* SA_RESTORER */, restore_, 0};
    syscall(SYS_rt_sigaction, SIGSYS, &action, 0, 8);
    return prctl(59 /* PR_SET_SYSCALL_USER_DISPATCH */, 1, restore_, 16, &selector);
}
#endif

static pid_t dispatched_fork(void) {
    selector = 1;
    pid_t p = fork();
    selector = 0;
    return p;
}

static int hangs(pid_t p) { // whether a child does not end by itself within 1 s
    int fd = pidfd(p), status, hung = !is_over(fd, 1000);
    kill(p, SIGKILL), waitpid(p, &status, 0), close(fd);
    return hung;
}

static void work(void) { // volatile, or the compiler leaves both calls out
    for (int i = 0; i < 100; i++) { void *volatile block = malloc(1 << 13); free(block); }
    _exit(0);
}

int main(void) {
    enum { R = 300 };
    static double ours[R], glibcs[R];
    handlers = shared(4096);
    pthread_atfork(0, 0, in_child);
    for (int round = 0; round < 2; round++) {
        int raw = 0, glibc = 0;
        for (int i = 0; i < 50; i++) {
            pid_t p = raw_fork(SIGCHLD, 0);
            if (!p) work();
            raw += hangs(p);
            p = fork();
            if (!p) work();
            glibc += hangs(p);
        }
        printf("info  %s: of 50 children that allocate hang %d after clone(2), %d after fork()\n", round ? "with a thread that allocates" : "without threads", raw, glibc);
        pthread_t thread;
        // one arena for all: as for a library that is used by both threads
        if (!round) { mallopt(M_ARENA_MAX, 1), pthread_create(&thread, 0, allocate, 0); }
        else claim(glibc == 0, "fork() puts malloc's locks right");
        if (!round) claim(raw == 0 && glibc == 0, "without threads clone(2) is as good");
    }
    claim(*handlers == 100, "atfork handlers ran after fork(), and not after clone(2)");
#ifdef __x86_64__
    int *parent = shared(4096);
    pid_t z = getpid(), t = fork();
    if (!t) {
        extra = CLONE_PARENT;
        pthread_t thread;
        pthread_create(&thread, 0, allocate, 0);
        parent[2] = dispatch();
        for (int i = 0; i < R; i++) {
            double s = now();
            pid_t p = dispatched_fork();
            if (!p) { selector = 0; parent[0] += getppid() == z; work(); }
            ours[i] = now() - s;
            s = now();
            p = fork();
            if (!p) _exit(0);
            glibcs[i] = now() - s, hangs(p);
        }
        printf("cost  fork() by dispatch %.0f us, fork() %.0f us\n", median(ours, R), median(glibcs, R));
        exit(0);
    }
    int status, reaped = 0;
    while (wait(&status) > 0) reaped++;
    claim(parent[2] == 0 && parent[0] == R && reaped == R + 1, "with syscall user dispatch glibc's fork() gives %d workers to the zygote, none hangs", reaped - 1);
#endif
    return failures;
}
