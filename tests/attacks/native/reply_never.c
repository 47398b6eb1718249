// Tries to give no reply and no sign of life.
// must: deadline
// with: { timeout = 300 }
#include "attack.h"

ATTACK(reply_never) {
    for (;;) {
        struct timespec long_time = { 1000, 0 };
        nanosleep(&long_time, NULL);
    }
}
