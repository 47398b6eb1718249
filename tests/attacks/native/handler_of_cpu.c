// Tries to handle the signal of its CPU time.
// must: denied rt_sigaction
#include "attack.h"

ATTACK(handler_of_cpu) {
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    sigaction(SIGXCPU, &ignore, NULL);
    for (;;) {}
}
