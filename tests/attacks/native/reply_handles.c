// Tries to reply with handles of objects that it was never given.
// must: error "" or encode or rejected or memory or closed or deadline or cpu or lost or exit or values nil or values contained or denied
#include "attack.h"

ATTACK(reply_handles) {
    char *box = mailbox();
    if (!box) return "no mailbox";
    volatile uint32_t *words = (volatile uint32_t *)box;
    uint32_t count = 4;
    for (int i = 0; i < 4; i++) memcpy(box + 384 + 100 + i * 8, &(uint64_t){ 0x1234567890abcdefull + i }, 8);
    memcpy(box + 384 + 132, &count, 4);
    *(volatile uint64_t *)(box + 48) = 136;
    words[9] = 2;
    words[1] = 1;
    words[2]++;
    for (;;) {}
}
