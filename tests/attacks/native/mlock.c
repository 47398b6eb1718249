// Tries to keep memory from being swapped.
// must: denied mlock
#include "attack.h"

ATTACK(mlock) {
    MUST_FAIL(syscall(SYS_mlock, world, 4096L));
}
