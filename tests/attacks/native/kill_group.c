// Tries to kill its process group.
// must: denied kill
#include "attack.h"

ATTACK(kill_group) {
    MUST_FAIL(kill(0, SIGKILL));
}
