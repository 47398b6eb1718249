// Tries to have a descriptor of the host.
// must: denied pidfd_open
#include "attack.h"

ATTACK(pidfd_host) {
    MUST_FAIL(syscall(434, (long)world->host, 0L));
}
