// Tries to make a call that is newer than the rules.
// must: denied
#include "attack.h"

ATTACK(unknown_call) {
    MUST_FAIL(syscall(1000L));
}
