// Tries to ring for ever, so that the zygote hears nobody else.
// must: cpu
// with: { timeout = 60000 }
#include "attack.h"

ATTACK(bell_flooded) {
    char bytes[4096] = { 0 };
    for (;;) if (write(3, bytes, sizeof bytes) < 0) sched_yield();
}
