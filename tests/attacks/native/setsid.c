// Tries to leave its session.
// must: denied setsid
#include "attack.h"

ATTACK(setsid) {
    MUST_FAIL(setsid());
}
