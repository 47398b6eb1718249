// Tries to join the host's process group.
// must: denied setpgid
#include "attack.h"

ATTACK(setpgid) {
    MUST_FAIL(setpgid(0, world->host));
}
