// Tries to make a pair of sockets.
// must: denied socketpair
#include "attack.h"

ATTACK(socketpair) {
    int pair[2];
    MUST_FAIL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
}
