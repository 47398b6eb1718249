// Tries to move the host to another processor.
// must: denied sched_setaffinity
#include "attack.h"

ATTACK(affinity) {
    unsigned long mask = 1;
    MUST_FAIL(syscall(SYS_sched_setaffinity, (long)world->host, sizeof mask, &mask));
}
