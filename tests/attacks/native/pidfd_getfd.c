// Tries to take a descriptor out of another process.
// must: denied pidfd_getfd
#include "attack.h"

ATTACK(pidfd_getfd) {
    MUST_FAIL(syscall(438, 3L, 0L, 0L));
}
