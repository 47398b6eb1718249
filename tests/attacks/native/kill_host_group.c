// Tries to kill the host's process group.
// must: denied kill
#include "attack.h"

ATTACK(kill_host_group) {
    MUST_FAIL(kill(-world->host, SIGKILL));
}
