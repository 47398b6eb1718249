// Tries to remove a file beside the granted ones.
// must: values contained
// with: { sandbox = { write = { "/dev/null" } } }
#include "attack.h"

ATTACK(unlink_ungranted) {
    MUST_FAIL(syscall(SYS_unlinkat, AT_FDCWD, world->secret, 0));
}
