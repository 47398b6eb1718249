// Tries to change the mode of a file.
// must: denied fchmodat
// with: { sandbox = { write = { "/dev/null" } } }
#include "attack.h"

ATTACK(chmod_file) {
    MUST_FAIL(syscall(SYS_fchmodat, AT_FDCWD, world->secret, 0777));
}
