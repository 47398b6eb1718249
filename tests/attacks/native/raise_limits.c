// Tries to raise its own limits.
// must: values contained
#include "attack.h"

ATTACK(raise_limits) {
    struct rlimit most = { RLIM_INFINITY, RLIM_INFINITY };
    for (int which = 0; which < 16; which++) {
        struct rlimit now;
        if (getrlimit(which, &now)) continue;
        if (now.rlim_max != RLIM_INFINITY && !setrlimit(which, &most)) return "raised a limit";
        if (which == RLIMIT_CPU || which == RLIMIT_DATA || which == RLIMIT_NOFILE)
            if (now.rlim_max == RLIM_INFINITY) return "there is no limit";
    }
    return CONTAINED;
}
