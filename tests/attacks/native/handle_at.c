// Tries to open a file by its handle, past the walls for paths.
// must: denied open_by_handle_at
#include "attack.h"

ATTACK(handle_at) {
    char handle[64] = { 8 };
    MUST_FAIL(syscall(SYS_open_by_handle_at, 3, handle, O_RDONLY));
}
