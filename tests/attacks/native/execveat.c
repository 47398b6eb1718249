// Tries to become another program by a descriptor.
// must: denied execveat
#include "attack.h"

ATTACK(execveat) {
    char *none[] = { NULL };
    MUST_FAIL(syscall(SYS_execveat, 1, "", none, none, AT_EMPTY_PATH));
}
