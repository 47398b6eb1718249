// Tries to punch holes into a segment that the host maps.
// must: denied fallocate
#include "attack.h"

ATTACK(fallocate_shared) {
    MUST_FAIL(syscall(SYS_fallocate, 4L, 3L, 0L, 4096L));
}
