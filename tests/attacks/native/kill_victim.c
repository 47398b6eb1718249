// Tries to kill another job.
// must: denied kill
#include "attack.h"

ATTACK(kill_victim) {
    MUST_FAIL(kill(world->victim, SIGKILL));
}
