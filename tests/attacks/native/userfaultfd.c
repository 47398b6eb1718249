// Tries to stop the kernel in the middle of a call.
// must: denied userfaultfd
#include "attack.h"

ATTACK(userfaultfd) {
    MUST_FAIL(syscall(SYS_userfaultfd, 0L));
}
