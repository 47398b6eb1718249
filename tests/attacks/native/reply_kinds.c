// Tries to reply with a kind that there is not.
// must: error "" or encode or rejected or memory or closed or deadline or cpu or lost or exit or values nil or values contained or denied
#include "attack.h"

ATTACK(reply_kinds) {
    char *box = mailbox();
    if (!box) return "no mailbox";
    volatile uint32_t *words = (volatile uint32_t *)box;
    words[1] = 0xfffffff0u;
    words[2]++;
    for (;;) {}
}
