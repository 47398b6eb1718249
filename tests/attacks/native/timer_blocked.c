// Tries to block the signal of its CPU time.
// must: cpu
#include "attack.h"

ATTACK(timer_blocked) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    for (;;) {}
}
