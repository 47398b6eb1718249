// Tries to enter a namespace.
// must: denied setns
#include "attack.h"

ATTACK(setns) {
    MUST_FAIL(syscall(SYS_setns, 3L, 0L));
}
