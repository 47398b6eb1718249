// Tries to lower the limits of the host.
// must: values contained
#include "attack.h"

ATTACK(limits_of_host) {
    struct rlimit none = { 0, 0 };
    MUST_FAIL(syscall(SYS_prlimit64, (long)world->host, (long)RLIMIT_NOFILE, &none, NULL));
}
