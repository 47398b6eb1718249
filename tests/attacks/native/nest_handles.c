// Tries to keep the zygote busy with handles of objects that are none, by the ten thousand.
// must: values contained
// with: { cpu = 2000, memory = "64M", result_limit = "64M" }
#include "nest.h"

ATTACK(nest_handles) {
    if (!open_nest()) return "no mailbox";
    size_t count = 60000;
    if (share < count * 8 + 1000) return "the nest is small";
    struct timespec before, after;
    for (size_t place = 0; place < PLACES; place++) {
        madvise(box(place), count * 8 + 1000, 23 /* MADV_POPULATE_WRITE */);
        for (size_t i = 0; i < count; i++) *long_word(box(place), 384 + 8 * i) = next();
        *word(box(place), 384 + 8 * count) = count;
        *long_word(box(place), 48) = 8 * count + 4;
        *word(box(place), 36) = 1;
        *word(control(place), 0) = 5;
    }
    clock_gettime(CLOCK_MONOTONIC, &before);
    ask();
    for (int i = 0; i < 10000 && *word(control(PLACES - 1), 0) != 0; i++) usleep(1000);
    clock_gettime(CLOCK_MONOTONIC, &after);
    return after.tv_sec - before.tv_sec > 2 ? "the zygote was busy for seconds" : CONTAINED;
}
