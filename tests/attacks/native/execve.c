// Tries to become another program.
// must: denied execve
#include "attack.h"

ATTACK(execve) {
    char *none[] = { NULL };
    MUST_FAIL(execve("/bin/true", none, none));
}
