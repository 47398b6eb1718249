// Tries to kill the host.
// must: denied kill
#include "attack.h"

ATTACK(kill_host) {
    MUST_FAIL(kill(world->host, SIGKILL));
}
