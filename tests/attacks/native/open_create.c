// Tries to make a file.
// must: denied openat
#include "attack.h"

ATTACK(open_create) {
    MUST_FAIL(syscall(SYS_openat, AT_FDCWD, "/tmp/llib-attack-made", O_CREAT | O_WRONLY, 0600));
}
