// Tries to be traced by its parent, which would see its signals.
// must: denied ptrace
#include "attack.h"

ATTACK(ptrace_me) {
    MUST_FAIL(syscall(SYS_ptrace, 0L, 0L, 0L, 0L));
}
