// Tries to have a job map objects that were never given to it, by numbers.
// must: values contained
#include "nest.h"

ATTACK(nest_objects) {
    if (!open_nest()) return "no mailbox";
    char *message = box(0);
    for (size_t at = 0; at < 384; at++) message[at] = 0;
    /* No settings that make sense: those of the starter hold. Then one id, and their number. */
    *word(message, 384) = 0;
    *long_word(message, 388) = next();
    *word(message, 396) = 1;
    *long_word(message, 48) = 16;
    *word(message, 36) = 1;
    *word(message, 0) = 2;
    for (int limit = 0; limit < 3; limit++) *long_word(nest, LIMIT(limit)) = (uint64_t)-1;
    *word(nest, 0) = 2;
    ask();
    for (int i = 0; i < 3000 && *word(message, 4) == 0 && *word(nest, 0) != 4; i++) usleep(1000);
    for (size_t at = 384; at < 3000; at++)
        if (!memcmp(message + at, "an object that the sandbox was not given", 40)) return CONTAINED;
    return "the object was looked for";
}
