// Tries to have a job map objects that were never given to it, by numbers.
// must: values contained
#include "nest.h"

ATTACK(nest_objects) {
    size_t length;
    char *nest = find_nest(&length);
    if (!nest || !mailbox()) return "no mailbox";
    char *box = nest + CONTROLS;
    for (size_t at = 0; at < 384; at++) box[at] = 0;
    /* No settings that make sense: those of the starter hold. Then one id, and their number. */
    *word(box, 384) = 0;
    *long_word(box, 388) = next();
    *word(box, 396) = 1;
    *long_word(box, 48) = 16;
    *word(box, 36) = 1;
    *word(box, 0) = 2;
    for (int limit = 0; limit < 3; limit++) *long_word(nest, LIMIT(limit)) = (uint64_t)-1;
    *word(nest, 0) = 2;
    ask();
    for (int i = 0; i < 3000 && *word(box, 4) == 0 && *word(nest, 0) != 4; i++) usleep(1000);
    for (size_t at = 384; at < 3000; at++)
        if (!memcmp(box + at, "an object that the sandbox was not given", 40)) return CONTAINED;
    return "the object was looked for";
}
