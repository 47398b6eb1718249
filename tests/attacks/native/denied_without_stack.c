// Tries to make a denied call where its handler has no stack to run on.
// must: denied or signal
#include "attack.h"

ATTACK(denied_without_stack) {
    #ifdef __x86_64__
    __asm__ volatile("xor %%esp, %%esp\n\tsyscall\n\tud2" : : "a"((long)SYS_openat), "D"(-100L), "S"("/etc/passwd"), "d"(0L) : "memory");
    #endif
    return (syscall(SYS_openat, AT_FDCWD, "/etc/passwd", 0) < 0) ? CONTAINED : "went on";
}
