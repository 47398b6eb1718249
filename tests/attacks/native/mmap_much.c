// Tries to have more private memory than its limit.
// must: values contained
// with: { cpu = 3000 }
#include "attack.h"

ATTACK(mmap_much) {
    size_t total = 0;
    for (;;) {
        char *more = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (more == MAP_FAILED) break;
        memset(more, 1, 1 << 20);
        if ((total += 1 << 20) > 100 << 20) return "a hundred megabytes";
    }
    return CONTAINED;
}
