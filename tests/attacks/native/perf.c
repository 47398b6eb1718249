// Tries to measure other processes.
// must: denied perf_event_open
#include "attack.h"

ATTACK(perf) {
    char attributes[128] = { 0 };
    MUST_FAIL(syscall(SYS_perf_event_open, attributes, (long)world->host, -1L, -1L, 0L));
}
