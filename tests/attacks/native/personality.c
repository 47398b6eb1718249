// Tries to switch off the randomness of addresses.
// must: denied personality
#include "attack.h"

ATTACK(personality) {
    MUST_FAIL(syscall(SYS_personality, 0x0040000L));
}
