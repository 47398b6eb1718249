// Tries to map over what is there.
// must: denied mmap
#include "attack.h"

ATTACK(mmap_fixed) {
    MUST_FAIL((long)mmap((void *)((uintptr_t)world & ~4095ul), 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
}
