// Tries to have another root.
// must: denied chroot
#include "attack.h"

ATTACK(chroot) {
    MUST_FAIL(chroot("/tmp"));
}
