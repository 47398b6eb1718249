// Tries to take the exit status of others.
// must: denied wait4
#include "attack.h"

ATTACK(wait_for_others) {
    MUST_FAIL(syscall(SYS_wait4, -1L, NULL, 0L, NULL));
}
