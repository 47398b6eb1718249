// Tries to punch holes into shared memory by advice.
// must: denied madvise
#include "attack.h"

ATTACK(remove_shared) {
    char *box = mailbox();
    if (!box) return "no mailbox";
    MUST_FAIL(madvise(box, 65536, MADV_REMOVE));
}
