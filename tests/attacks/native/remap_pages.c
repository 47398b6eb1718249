// Tries to have a mapping show another part of its file: the session's table, or what its zygote takes for true.
// must: denied remap_file_pages
#include "attack.h"

ATTACK(remap_pages) {
    char *box = mailbox();
    if (!box) return "no mailbox";
    MUST_FAIL(syscall(SYS_remap_file_pages, box, 4096L, 0L, 0L, 0L));
}
