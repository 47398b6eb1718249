// Tries to make a process.
// must: denied clone fork
#include "attack.h"

ATTACK(fork) {
    MUST_FAIL(fork());
}
