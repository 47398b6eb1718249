// Tries to keep the zygote from everybody else by asking without end.
// must: cpu
#include "nest.h"

ATTACK(nest_flooded) {
    if (!open_nest()) return "no mailbox";
    for (;;) {
        for (size_t place = 0; place < PLACES; place++) {
            *word(nest, place * CONTROL) = 5;
            *word(nest, place * CONTROL + ORDERS) += 1;
            *long_word(nest, place * CONTROL + ORDERS + 16) = next();
        }
        ask();
    }
}
