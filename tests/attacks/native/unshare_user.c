// Tries to be root in a namespace of its own.
// must: denied unshare
#include "attack.h"

ATTACK(unshare_user) {
    MUST_FAIL(unshare(CLONE_NEWUSER | CLONE_NEWNS));
}
