// Tries to end with the status of a job that did well.
// must: exit
#include "attack.h"

ATTACK(exit_status) {
    syscall(SYS_exit_group, 0L);
    return "went on";
}
