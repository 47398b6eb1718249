// Tries to reply with pages that were never written.
// must: error "" or encode or rejected or memory or closed or deadline or cpu or lost or exit or values nil or values contained or denied
#include "attack.h"

ATTACK(reply_holes) {
    char *box = mailbox();
    if (!box) return "no mailbox";
    volatile uint32_t *words = (volatile uint32_t *)box;
    words[8] = 1;
    *(volatile uint64_t *)(box + 48) = 7 << 20;
    words[1] = 1;
    words[2]++;
    for (;;) {}
}
