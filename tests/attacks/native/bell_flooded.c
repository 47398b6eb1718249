// Tries to ring for ever, so that the zygote hears nobody else.
// must: cpu or deadline
#include "attack.h"

ATTACK(bell_flooded) {
    char bytes[4096] = { 0 };
    for (;;) if (write(3, bytes, sizeof bytes) < 0) sched_yield();
}
