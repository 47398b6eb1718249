// Tries to run before everybody else.
// must: denied sched_setscheduler
#include "attack.h"

ATTACK(scheduler) {
    struct sched_param most = { 99 };
    MUST_FAIL(syscall(SYS_sched_setscheduler, 0L, (long)SCHED_FIFO, &most));
}
