// Tries to stop, and never to end.
// must: deadline
// with: { timeout = 300 }
#include "attack.h"

ATTACK(stop_itself) {
    syscall(SYS_tgkill, (long)getpid(), (long)syscall(SYS_gettid), (long)SIGSTOP);
    return "went on";
}
