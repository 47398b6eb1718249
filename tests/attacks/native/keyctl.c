// Tries to read keys of the user's other processes.
// must: denied keyctl
#include "attack.h"

ATTACK(keyctl) {
    MUST_FAIL(syscall(SYS_keyctl, 0L, -3L, 0L, 0L, 0L));
}
