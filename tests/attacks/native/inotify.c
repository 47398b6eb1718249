// Tries to watch files.
// must: denied inotify_init1
#include "attack.h"

ATTACK(inotify) {
    MUST_FAIL(syscall(SYS_inotify_init1, 0));
}
