// Tries to harm the zygote with a nest full of nonsense.
// must: values contained or cpu
#include "nest.h"

ATTACK(nest_scribbled) {
    if (!open_nest()) return "no mailbox";
    for (int round = 0; round < 3000; round++) {
        for (size_t at = 0; at < PLACES * CONTROL; at += 8) *long_word(nest, at) = round % 3 ? next() : (uint64_t)(next() % 8);
        ask();
        if (round % 16 == 0) usleep(1000);
    }
    return CONTAINED;
}
