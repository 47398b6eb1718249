// Tries to open its own memory, and so to write code.
// must: denied openat
#include "attack.h"

ATTACK(memory_of_self) {
    MUST_FAIL(syscall(SYS_openat, AT_FDCWD, "/proc/self/mem", O_RDWR));
}
