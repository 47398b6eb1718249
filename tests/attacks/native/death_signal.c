// Tries to live on when the zygote dies.
// must: denied prctl
#include "attack.h"

ATTACK(death_signal) {
    MUST_FAIL(prctl(PR_SET_PDEATHSIG, 0));
}
