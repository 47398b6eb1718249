// Tries to write into the zygote's memory, whose addresses it knows.
// must: denied process_vm_writev
#include "attack.h"

ATTACK(write_zygote) {
    char bytes[16] = { 0 };
    struct iovec here = { bytes, 16 }, there = { stdout, 16 };
    MUST_FAIL(syscall(SYS_process_vm_writev, (long)world->zygote, &here, 1L, &there, 1L, 0L));
}
