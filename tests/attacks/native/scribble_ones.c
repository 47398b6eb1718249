// Tries to fill the first pages of all memory that it shares with ones.
// must: cpu or signal or error "" or encode or values contained or exit or rejected or memory or closed or values nil
#include "attack.h"

ATTACK(scribble_ones) {
    struct shared found[64];
    size_t count = shared_mappings(found, 64);
    if (!count) return "nothing is shared";
    for (size_t i = 0; i < count; i++) memset(found[i].start, 0xff, found[i].length < 8192 ? found[i].length : 8192);
    return CONTAINED;
}
