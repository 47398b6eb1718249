// Tries to blame a system call that it never made.
// must: exit or error "" or signal
#include "attack.h"

ATTACK(reply_denied) {
    char *box = mailbox();
    if (!box) return "no mailbox";
    volatile uint32_t *words = (volatile uint32_t *)box;
    words[11] = 12345678;
    syscall(SYS_exit_group, 3L);
    return CONTAINED;
}
