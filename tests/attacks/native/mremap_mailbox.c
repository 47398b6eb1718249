// Tries to grow its mailbox over those of other jobs.
// must: values contained
#include "attack.h"

ATTACK(mremap_mailbox) {
    char *box = mailbox();
    if (!box) return "no mailbox";
    MUST_FAIL((long)mremap(box, 65536, 1 << 20, MREMAP_MAYMOVE));
}
