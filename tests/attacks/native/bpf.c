// Tries to load a program into the kernel.
// must: denied bpf
#include "attack.h"

ATTACK(bpf) {
    char attributes[128] = { 0 };
    MUST_FAIL(syscall(SYS_bpf, 0L, attributes, sizeof attributes));
}
