// Tries to have more descriptors of the host's output.
// must: denied dup
#include "attack.h"

ATTACK(stdout_duplicated) {
    MUST_FAIL(dup(1));
}
