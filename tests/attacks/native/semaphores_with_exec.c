// Tries to change the semaphores of other programs, where programs may be run.
// must: denied semctl
// with: { sandbox = { exec = true, best_effort = true } }
#include "attack.h"

ATTACK(semaphores_with_exec) {
    MUST_FAIL(syscall(SYS_semctl, 0, 0, 16 /* SETVAL */, 41));
}
