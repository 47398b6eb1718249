// Tries to have its capabilities back.
// must: denied capset
#include "attack.h"

ATTACK(capset) {
    uint32_t header[2] = { 0x20080522, 0 }, data[6] = { ~0u, ~0u, ~0u, ~0u, ~0u, ~0u };
    MUST_FAIL(syscall(SYS_capset, header, data));
}
