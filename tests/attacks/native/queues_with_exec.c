// Tries to remove the queues of other programs, where programs may be run.
// must: denied mq_unlink
// with: { sandbox = { exec = true, best_effort = true } }
#include "attack.h"

ATTACK(queues_with_exec) {
    MUST_FAIL(syscall(SYS_mq_unlink, "llib"));
}
