// Tries to restart the machine.
// must: denied reboot
#include "attack.h"

ATTACK(reboot) {
    MUST_FAIL(syscall(SYS_reboot, 0L, 0L, 0L, NULL));
}
