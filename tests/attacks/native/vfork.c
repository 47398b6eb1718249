// Tries to make a process that shares memory.
// must: denied vfork clone
#include "attack.h"

ATTACK(vfork) {
    #ifdef SYS_vfork
    MUST_FAIL(syscall(SYS_vfork));
    #else
    MUST_FAIL(syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0));
    #endif
}
