// Tries to read the host's memory.
// must: denied process_vm_readv
#include "attack.h"

ATTACK(read_host) {
    char bytes[16];
    struct iovec here = { bytes, 16 }, there = { (void *)0x400000, 16 };
    MUST_FAIL(syscall(SYS_process_vm_readv, (long)world->host, &here, 1L, &there, 1L, 0L));
}
