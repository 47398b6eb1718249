// Tries to have the zygote take objects away that others hold.
// must: values contained
#include "attack.h"

ATTACK(reply_holdings) {
    char *box = mailbox();
    if (!box) return "no mailbox";
    volatile uint32_t *words = (volatile uint32_t *)box;
    for (int i = 72; i + 8 <= 384; i += 8) *(volatile uint64_t *)(box + i) = 0x1122334455667788ull + i;
    *(volatile uint64_t *)(box + 64) = 1;
    words[10] = 1;
    return CONTAINED;
}
