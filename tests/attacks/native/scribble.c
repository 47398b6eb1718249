// Tries to write over all memory that it shares, and to go on.
// must: cpu or signal or error "" or encode or values contained or lost or exit or rejected or memory or closed
#include "attack.h"

ATTACK(scribble) {
    struct shared found[64];
    size_t count = shared_mappings(found, 64);
    if (!count) return "nothing is shared";
    for (int round = 0; round < 200; round++)
        for (size_t i = 0; i < count; i++)
            for (size_t at = 0; at + 8 <= found[i].length && at < 8192; at += 8)
                *(volatile uint64_t *)(found[i].start + at) = 0x0101010101010101u * (unsigned)(round + 1);
    for (;;) {}
}
