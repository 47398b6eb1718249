// Tries to kill the zygote, its parent.
// must: denied kill
#include "attack.h"

ATTACK(kill_zygote) {
    MUST_FAIL(kill(world->zygote, SIGKILL));
}
