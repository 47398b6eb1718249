// Tries to have more of the processor.
// must: denied setpriority
#include "attack.h"

ATTACK(priority) {
    MUST_FAIL(setpriority(PRIO_PROCESS, 0, -20));
}
