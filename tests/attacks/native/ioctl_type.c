// Tries to type into the terminal.
// must: values contained
#include "attack.h"

ATTACK(ioctl_type) {
    char byte = 10;
    MUST_FAIL(syscall(SYS_ioctl, 1L, 0x5412L, &byte));
}
