// Tries to open a message queue.
// must: denied mq_open
#include "attack.h"

ATTACK(mq_open) {
    MUST_FAIL(syscall(SYS_mq_open, "llib-attack", O_CREAT | O_RDWR, 0600L, NULL));
}
