// Tries to turn the zygote's bell into a socket with an abstract name, where the internet was granted.
// must: denied bind
// with: { sandbox = { net = true } }
#include "attack.h"

ATTACK(connect_abstract) {
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    memcpy(name.sun_path, "\0llib-attack", 12);
    MUST_FAIL(bind(3, (struct sockaddr *)&name, sizeof(sa_family_t) + 12));
}
