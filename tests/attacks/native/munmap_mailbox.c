// Tries to unmap what it shares, and go on.
// must: signal
#include "attack.h"

ATTACK(munmap_mailbox) {
    char *box = mailbox();
    if (!box) return "no mailbox";
    munmap(box, 65536);
    return CONTAINED;
}
