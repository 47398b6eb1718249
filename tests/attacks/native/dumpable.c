// Tries to be open to tracing.
// must: denied prctl
#include "attack.h"

ATTACK(dumpable) {
    MUST_FAIL(prctl(PR_SET_DUMPABLE, 1));
}
