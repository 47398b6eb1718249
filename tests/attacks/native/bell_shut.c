// Tries to shut the zygote's bell for everybody, where sockets may be used.
// must: denied shutdown
// with: { sandbox = { net = true } }
#include "attack.h"

ATTACK(bell_shut) {
    MUST_FAIL(shutdown(3, SHUT_RDWR));
}
