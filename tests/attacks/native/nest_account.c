// Tries to get CPU time without end by asking for all of it, and then for none.
// must: values contained
// with: { cpu = 1000 }
#include "nest.h"

ATTACK(nest_account) {
    if (!open_nest()) return "no mailbox";
    /* A worker that finds no job goes; a millisecond is the fee of each. */
    place_job(0, 1 << 20, 1000000 - 1000, 2);
    ask();
    usleep(20000);
    static const uint64_t asked[] = { 0, 1, (uint64_t)1 << 50, (uint64_t)-2 };
    for (int i = 0; i < 4; i++) {
        place_job(1 + i % 3, 1 << 20, asked[i], 2);
        ask();
        for (int wait = 0; wait < 2000 && *word(control(1 + i % 3), 0) == 2; wait++) usleep(1000);
        if (*long_word(control(1 + i % 3), LIMIT(1)) > 1000000 && *word(control(1 + i % 3), 0) == 3) return "more was granted than there is";
    }
    return CONTAINED;
}
