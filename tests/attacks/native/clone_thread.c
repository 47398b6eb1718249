// Tries to make a thread, which the filter might forget.
// must: denied clone
#include "attack.h"

ATTACK(clone_thread) {
    MUST_FAIL(syscall(SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND, 0, 0, 0, 0));
}
