// Tries to open the other end of the zygote's bell, where files may be opened.
// must: values contained
// with: { sandbox = { read = { "/dev/zero" } } }
#include "attack.h"

ATTACK(open_bell) {
    MUST_FAIL(syscall(SYS_openat, AT_FDCWD, "/proc/self/fd/3", O_RDWR));
}
