// Tries to kill the zygote by the id of its thread.
// must: denied tkill
#include "attack.h"

ATTACK(tkill_zygote) {
    MUST_FAIL(syscall(SYS_tkill, (long)world->zygote, (long)SIGKILL));
}
