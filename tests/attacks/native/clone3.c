// Tries to make a process by the call whose flags no filter sees.
// must: denied clone3
#include "attack.h"

ATTACK(clone3) {
    uint64_t arguments[8] = { 0, 0, 0, 0, SIGCHLD };
    MUST_FAIL(syscall(SYS_clone3, arguments, sizeof arguments));
}
