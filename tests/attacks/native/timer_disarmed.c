// Tries to stop the timer of its CPU time.
// must: denied timer_settime
#include "attack.h"

ATTACK(timer_disarmed) {
    struct itimerspec never = { { 0, 0 }, { 0, 0 } };
    for (long id = 0; id < 16; id++) syscall(SYS_timer_settime, id, 0L, &never, NULL);
    for (;;) {}
}
