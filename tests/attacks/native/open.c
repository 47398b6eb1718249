// Tries to open a file.
// must: denied open openat
#include "attack.h"

ATTACK(open) {
    MUST_FAIL(syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY));
}
