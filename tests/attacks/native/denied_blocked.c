// Tries to block the signal of a denied call, and then to make one.
// must: denied or signal
#include "attack.h"

ATTACK(denied_blocked) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    MUST_FAIL(syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY));
}
