// Tries to delete the timer of its CPU time.
// must: denied timer_delete
#include "attack.h"

ATTACK(timer_deleted) {
    for (long id = 0; id < 16; id++) syscall(SYS_timer_delete, id);
    for (;;) {}
}
