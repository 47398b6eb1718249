// Tries calls that no rule speaks of, where programs may be run: they are as if this kernel did not have them.
// must: values contained
// with: { sandbox = { exec = true, best_effort = true } }
#include "attack.h"

ATTACK(newer_calls_with_exec) {
    /* statmount and listmount tell of file systems, 463 to 470 are newer than the rules. */
    for (long call = 457; call <= 470; call++) {
        if (syscall(call, 0L, 0L, 0L, 0L, 0L, 0L) >= 0 || errno != ENOSYS) return "a newer call was made";
    }
    /* Other processes of the user, and how much they have of disks and processors. */
    if (syscall(SYS_ioprio_set, 1L, (long)world->victim, 3L << 13) >= 0) return "ioprio_set";
    int least = 0;
    if (syscall(SYS_sched_setparam, (long)world->victim, &least) >= 0) return "sched_setparam";
    return CONTAINED;
}
