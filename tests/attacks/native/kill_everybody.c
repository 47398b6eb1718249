// Tries to kill every process that there is.
// must: denied kill
#include "attack.h"

ATTACK(kill_everybody) {
    MUST_FAIL(kill(-1, SIGKILL));
}
