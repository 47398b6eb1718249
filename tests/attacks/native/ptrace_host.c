// Tries to trace the host.
// must: denied ptrace
#include "attack.h"

ATTACK(ptrace_host) {
    MUST_FAIL(syscall(SYS_ptrace, 16L, (long)world->host, 0L, 0L));
}
