// Tries to make a link beside the granted files.
// must: denied symlinkat
// with: { sandbox = { write = { "/dev/null" } } }
#include "attack.h"

ATTACK(link_out) {
    MUST_FAIL(syscall(SYS_symlinkat, "/etc/passwd", AT_FDCWD, "/tmp/llib-attack-link"));
}
