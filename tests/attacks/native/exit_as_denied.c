// Tries to end as if a call had been denied.
// must: denied
#include "attack.h"

ATTACK(exit_as_denied) {
    syscall(SYS_tgkill, (long)getpid(), (long)syscall(SYS_gettid), (long)SIGSYS);
    return "went on";
}
