// Tries to empty a file by its name.
// must: denied truncate
// with: { sandbox = { write = { "/dev/null" } } }
#include "attack.h"

ATTACK(truncate_path) {
    MUST_FAIL(syscall(SYS_truncate, world->secret, 0L));
}
