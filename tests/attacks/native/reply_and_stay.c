// Tries to reply, and to live on when the host has taken it.
// must: cpu or error "" or values nil or values contained or encode or deadline
// with: { cpu = 2000 }
#include "attack.h"

ATTACK(reply_and_stay) {
    char *box = mailbox();
    if (!box) return "no mailbox";
    volatile uint32_t *words = (volatile uint32_t *)box;
    *(volatile uint64_t *)(box + 48) = 1;
    words[1] = 1;
    words[2]++;
    for (;;) {}
}
