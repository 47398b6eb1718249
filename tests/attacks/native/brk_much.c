// Tries to have more memory by the end of its data.
// must: values contained
#include "attack.h"

ATTACK(brk_much) {
    long end = syscall(SYS_brk, 0L);
    return syscall(SYS_brk, end + (200L << 20)) >= end + (200L << 20) ? "two hundred megabytes" : CONTAINED;
}
