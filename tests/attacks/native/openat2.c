// Tries to open a file by the newer call.
// must: denied openat2
#include "attack.h"

ATTACK(openat2) {
    uint64_t how[3] = { O_RDONLY };
    MUST_FAIL(syscall(437, AT_FDCWD, "/etc/passwd", how, sizeof how));
}
