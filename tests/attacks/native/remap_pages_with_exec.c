// Tries the same where programs may be run, so that nearly all calls are allowed.
// must: denied remap_file_pages
// with: { sandbox = { exec = true, best_effort = true } }
#include "attack.h"

ATTACK(remap_pages_with_exec) {
    char *box = mailbox();
    if (!box) return "no mailbox";
    MUST_FAIL(syscall(SYS_remap_file_pages, box, 4096L, 0L, 0L, 0L));
}
