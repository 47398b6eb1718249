// Tries to have a job started at the moment of its own death, by the death of another.
// must: exit
#include "nest.h"

ATTACK(nest_orphan) {
    if (!open_nest()) return "no mailbox";
    for (int round = 0; round < 20; round++) {
        for (size_t place = 0; place < 3; place++) place_job(place, 1 << 18, 2000, 2);
        ask();
        usleep(next() % 3000);
        /* One is killed, one given up, and others are wanted, without a ring. */
        *word(control(0), ORDERS + 8) = 9;
        *word(control(0), ORDERS) += 1;
        *word(control(1), 0) = 5;
        ask();
        place_job(2, 1 << 18, 2000, 2);
        place_job(3, 1 << 18, 2000, 2);
        usleep(next() % 2000);
    }
    syscall(SYS_exit_group, 0);
    return "it lives";
}
