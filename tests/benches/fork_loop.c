/* The floor for starting processes: a plain loop of fork, exit and wait. Reads "bare COUNT" a line, and answers
 * each with the nanoseconds of one round on average. */
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(void) {
    int count;
    while (scanf(" bare %d", &count) == 1 && count > 0) {
        long long begun = now();
        for (int i = 0; i < count; i++) {
            pid_t child = fork();
            if (child == 0)
                _exit(0);
            if (child < 0 || waitpid(child, NULL, 0) != child) {
                perror("fork_loop");
                return 1;
            }
        }
        printf("%lld\n", (now() - begun) / count);
        fflush(stdout);
    }
    return 0;
}
