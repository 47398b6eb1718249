// Tries to handle the signal of a denied call, and then to make one.
// must: denied rt_sigaction
#include "attack.h"

ATTACK(handler_of_denied) {
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    sigaction(SIGSYS, &ignore, NULL);
    syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY);
    return "went on";
}
