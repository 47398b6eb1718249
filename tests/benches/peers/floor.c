/* What the system itself takes: the floor for everybody else. See README.md.
 *
 * fresh: fork, exit, wait. warm: a futex there and back between two processes, through sleep. spin: the same word,
 * where both look without sleeping. payload: a memcpy into warm memory. The workers do nothing but sleep. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { IDLE, SLEEPING, SPINNING };

/* The words that both processes share, on cache lines of their own. */
static struct {
    _Alignas(64) atomic_uint there;
    _Alignas(64) atomic_uint back;
    _Alignas(64) atomic_uint mode;
} *shared;

static int workers_wanted, workers;

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void rest(long microseconds) {
    struct timespec time = {microseconds / 1000000, microseconds % 1000000 * 1000};
    if (microseconds > 0)
        nanosleep(&time, NULL);
}

static void futex_wait(atomic_uint *word, unsigned seen) { syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0); }

static void set(atomic_uint *word, unsigned value, int wake) {
    atomic_store(word, value);
    if (wake)
        syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Until the word is another one. */
static unsigned changed(atomic_uint *word, unsigned seen, int mode) {
    for (unsigned looks = 0;;) {
        unsigned value = atomic_load(word);
        if (value != seen)
            return value;
        if (mode == SLEEPING)
            futex_wait(word, seen);
        else if (++looks % 4096 == 0)
            /* The other one may need this core. */
            sched_yield();
    }
}

static pid_t child(void) {
    pid_t pid = fork();
    if (pid < 0) {
        perror("floor");
        exit(1);
    }
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

/* One answers, the others only sleep. */
static void start_workers(void) {
    for (; workers < workers_wanted; workers++) {
        if (child() != 0)
            continue;
        if (workers > 0)
            for (;;)
                pause();
        for (unsigned seen = 0;;) {
            seen = changed(&shared->there, seen, atomic_load(&shared->mode));
            set(&shared->back, seen, atomic_load(&shared->mode) == SLEEPING);
        }
    }
}

static void ping(int count, long pause, int mode) {
    start_workers();
    /* Whoever sleeps is woken, and goes on in the new mode. */
    atomic_store(&shared->mode, mode);
    set(&shared->there, atomic_load(&shared->there) + 1, 1);
    changed(&shared->back, atomic_load(&shared->there) - 1, SPINNING);
    for (int i = 0; i < count; i++) {
        rest(pause);
        long long begun = now();
        unsigned seen = atomic_load(&shared->back);
        set(&shared->there, seen + 1, mode == SLEEPING);
        changed(&shared->back, seen, mode);
        printf("%lld ", now() - begun);
    }
    /* Nobody spins while nobody asks. */
    atomic_store(&shared->mode, SLEEPING);
    set(&shared->there, atomic_load(&shared->there) + 1, 1);
    changed(&shared->back, atomic_load(&shared->there) - 1, SPINNING);
}

static void fresh(int count, long pause) {
    for (int i = 0; i < count; i++) {
        rest(pause);
        long long begun = now();
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        if (pid < 0 || waitpid(pid, NULL, 0) != pid) {
            perror("floor");
            exit(1);
        }
        printf("%lld ", now() - begun);
    }
}

static void copy(int count, size_t bytes) {
    char *from = malloc(bytes), *to = malloc(bytes);
    if (!from || !to) {
        perror("floor");
        exit(1);
    }
    memset(from, 'x', bytes);
    memset(to, 'y', bytes);
    for (int i = 0; i < count; i++) {
        long long begun = now();
        memcpy(to, from, bytes);
        __asm__ volatile("" : : "r"(to) : "memory");
        printf("%lld ", now() - begun);
    }
    free(from);
    free(to);
}

int main(int argc, char **argv) {
    char line[256], name[16];
    workers_wanted = argc > 1 ? atoi(argv[1]) : 1;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        perror("floor");
        return 1;
    }
    atomic_store(&shared->mode, SLEEPING);
    while (fgets(line, sizeof line, stdin) && strcmp(line, "quit\n") != 0) {
        int count = 0;
        long more = 0;
        if (sscanf(line, "%15s %d %ld", name, &count, &more) < 2)
            count = 0;
        if (strcmp(name, "fresh") == 0)
            fresh(count, more);
        else if (strcmp(name, "warm") == 0)
            ping(count, more, SLEEPING);
        else if (strcmp(name, "spin") == 0)
            ping(count, 0, SPINNING);
        else if (strcmp(name, "payload") == 0)
            copy(count, more);
        printf("\n");
        fflush(stdout);
    }
    return 0;
}
