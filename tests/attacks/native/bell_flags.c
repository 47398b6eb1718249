// Tries to make the zygote's bell block for everybody who rings it.
// must: values contained
// with: { sandbox = { net = true } }
#include "attack.h"

ATTACK(bell_flags) {
    MUST_FAIL(fcntl(3, F_SETFL, 0));
}
