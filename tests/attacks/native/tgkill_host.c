// Tries to kill the host by the id of its thread.
// must: denied tgkill
#include "attack.h"

ATTACK(tgkill_host) {
    MUST_FAIL(syscall(SYS_tgkill, (long)world->host, (long)world->host, (long)SIGKILL));
}
