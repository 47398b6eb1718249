// Tries to have jobs started from nonsense: settings, values, lengths and numbers of all kinds.
// must: values contained or cpu
// with: { cpu = 2000 }
#include "nest.h"

ATTACK(nest_requests) {
    if (!open_nest()) return "no mailbox";
    static const uint64_t lengths[] = { 0, 1, 3, 4, 100, 6000, 65536, 1 << 20, (uint64_t)-1, (uint64_t)1 << 40 };
    for (int round = 0; round < 400; round++) {
        size_t place = round % PLACES;
        char *words = control(place), *message = box(place);
        for (size_t at = 0; at < 6000; at++) message[384 + at] = (char)next();
        /* A length of the settings that makes sense sometimes. */
        *word(message, 384) = (uint32_t)(next() % (round % 2 ? 64 : (uint64_t)1 << 33));
        *word(message, 0) = 2;
        *word(message, 4) = 0;
        *word(message, 28) = (uint32_t)next();
        *word(message, 36) = (uint32_t)(next() % 4);
        *long_word(message, 48) = lengths[next() % 10];
        for (int limit = 0; limit < 3; limit++) *long_word(words, LIMIT(limit)) = round % 3 ? (uint64_t)-1 : next() % (1 << 24);
        *long_word(words, 40) = round % 5 ? 0 : next();
        *word(words, 0) = 2;
        ask();
        usleep(500);
        if (round % 7 == 0) *word(words, 0) = 5;
        ask();
    }
    return CONTAINED;
}
