// Tries to have shared memory of System V.
// must: denied shmget
#include "attack.h"

ATTACK(shmget) {
    MUST_FAIL(syscall(SYS_shmget, 1234L, 4096L, 01666L));
}
