// Tries to be somebody else.
// must: denied setuid
#include "attack.h"

ATTACK(setuid) {
    MUST_FAIL(syscall(SYS_setuid, 0L));
}
