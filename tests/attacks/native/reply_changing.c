// Tries to reply, and to change the reply while the host reads it.
// must: error "" or encode or rejected or memory or closed or deadline or cpu or lost or exit or values nil or values contained or denied
// with: { cpu = 1000 }
#include "attack.h"

ATTACK(reply_changing) {
    char *box = mailbox();
    if (!box) return "no mailbox";
    volatile uint32_t *words = (volatile uint32_t *)box;
    for (uint32_t round = 0;; round++) {
        *(volatile uint64_t *)(box + 48) = round % 7000;
        memset(box + 384, (int)(round * 37), 7000);
        words[1] = round % 12;
        words[2]++;
    }
}
