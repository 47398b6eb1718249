// Tries to go elsewhere.
// must: denied chdir
#include "attack.h"

ATTACK(chdir) {
    MUST_FAIL(chdir("/"));
}
