// Tries to reply with a length of exabytes.
// must: error "" or encode or rejected or memory or closed or deadline or cpu or lost or exit or values nil or values contained or denied
#include "attack.h"

ATTACK(reply_long) {
    char *box = mailbox();
    if (!box) return "no mailbox";
    volatile uint32_t *words = (volatile uint32_t *)box;
    *(volatile uint64_t *)(box + 48) = UINT64_MAX / 2;
    words[1] = 1;
    words[2]++;
    for (;;) {}
}
