// Memory that no tenant had before: what does a file of its own cost for each sandboxed worker, beside a slot that is used
// again? And a helper that reads what a tenant wrote, so that the process that forks does not: forked for each question, or
// standing?
#include "common.h"
#include <linux/seccomp.h>

enum { R = 500, BYTES = 64 << 10, USED = 4 };

static void use(volatile char *at) { for (int i = 0; i < USED; i++) at[i * 4096] = 1; }

int main(void) {
    int pair[2], status, question[2], reply[2];
    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
    static double again[R], punched[R], ownfile[R], passed[R], forked[R], standing[R];
    int slots = memfd_create("slots", MFD_CLOEXEC);
    ftruncate(slots, 1 << 24);
    char *slot = mmap(0, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, slots, 0), was = 1;
    use(slot);
    int dirty = 0;
    pipe(question), pipe(reply);
    pid_t helper = fork();
    if (!helper) { // all it can do from here: read, write, exit
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0);
        char text[512];
        while (read(question[0], text, sizeof text) > 0) write(reply[1], "y", 1);
        syscall(SYS_exit, 0);
    }
    for (int i = 0; i < R; i++) {
        char text[512] = "what a tenant asks for", verdict;
        double t = now();
        use(slot), again[i] = now() - t;
        t = now();
        fallocate(slots, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, BYTES);
        dirty += slot[0];
        use(slot), punched[i] = now() - t;
        t = now();
        int own = memfd_create("own", MFD_CLOEXEC);
        ftruncate(own, BYTES);
        char *at = mmap(0, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0);
        dirty += at[0];
        use(at), ownfile[i] = now() - t;
        t = now(); // and to the host, which maps it too
        send_fds(pair[0], "f", 1, &own, 1);
        int theirs;
        receive_fds(pair[1], &verdict, 1, &theirs, 1);
        char *there = mmap(0, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, theirs, 0);
        use(there), munmap(there, BYTES), close(theirs), munmap(at, BYTES), close(own), passed[i] = now() - t;
        t = now();
        pid_t p = raw_fork(SIGCHLD, 0);
        if (!p) {
            prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0);
            write(reply[1], "y", 1);
            syscall(SYS_exit, 0);
        }
        read(reply[0], &verdict, 1), waitpid(p, &status, 0), forked[i] = now() - t;
        t = now();
        write(question[1], text, sizeof text), read(reply[0], &verdict, 1), standing[i] = now() - t;
    }
    claim(!dirty, "a hole that was punched, and a new file, read as zeros");
    printf("cost  4 of 16 pages: used again %.1f us, punched %.1f us, a file of its own %.1f us, passed to the host, mapped and both closed %.1f us more\n",
           median(again, R), median(punched, R), median(ownfile, R), median(passed, R));
    printf("cost  a helper's word: forked for it %.0f us, standing %.0f us\n", median(forked, R), median(standing, R));
    return failures;
}
