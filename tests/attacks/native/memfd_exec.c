// Tries to make a program in memory, to run it.
// must: denied memfd_create
#include "attack.h"

ATTACK(memfd_exec) {
    MUST_FAIL(syscall(SYS_memfd_create, "x", 0));
}
