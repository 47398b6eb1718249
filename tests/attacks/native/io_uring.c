// Tries to make calls that no filter sees.
// must: denied io_uring_setup
#include "attack.h"

ATTACK(io_uring) {
    char parameters[120] = { 0 };
    MUST_FAIL(syscall(425, 8L, parameters));
}
