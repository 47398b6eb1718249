// Tries to send a signal by a descriptor.
// must: denied pidfd_send_signal
#include "attack.h"

ATTACK(pidfd_signal) {
    MUST_FAIL(syscall(424, 3L, (long)SIGKILL, NULL, 0L));
}
