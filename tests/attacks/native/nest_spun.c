// Tries to keep workers busy that have no job and so, it may be thought, no limit.
// must: values contained
#include "nest.h"

ATTACK(nest_spun) {
    if (!open_nest()) return "no mailbox";
    for (size_t place = 0; place < 2; place++) place_job(place, 1 << 20, 1000, 7);
    ask();
    for (int i = 0; i < 100; i++) {
        usleep(10000);
        if (used(0) > 100000 || used(1) > 100000) return "a worker spins";
    }
    return CONTAINED;
}
