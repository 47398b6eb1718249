// Tries to end as if the kernel had ended it for its CPU time.
// must: cpu or signal
#include "attack.h"

ATTACK(exit_by_signal) {
    syscall(SYS_tgkill, (long)getpid(), (long)syscall(SYS_gettid), (long)SIGXCPU);
    return "went on";
}
