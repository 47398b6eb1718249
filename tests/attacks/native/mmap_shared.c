// Tries to have memory that no limit counts.
// must: denied mmap
#include "attack.h"

ATTACK(mmap_shared) {
    MUST_FAIL((long)mmap(NULL, 1 << 30, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
}
