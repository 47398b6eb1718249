// Tries to mount a file system.
// must: denied mount
#include "attack.h"

ATTACK(mount) {
    MUST_FAIL(syscall(SYS_mount, "none", "/tmp", "tmpfs", 0L, NULL));
}
