// Tries to make a call by x86-64's other interface.
// must: denied
#include "attack.h"

ATTACK(x32_call) {
    MUST_FAIL(syscall(0x40000000L + SYS_getpid));
}
