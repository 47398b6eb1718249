// Tries to cut a segment that the host maps.
// must: denied ftruncate
#include "attack.h"

ATTACK(truncate_shared) {
    MUST_FAIL(ftruncate(4, 0));
}
