// Tries to have signals handled on a stack of its own.
// must: denied sigaltstack
#include "attack.h"

ATTACK(sigaltstack) {
    stack_t other = { .ss_sp = malloc(65536), .ss_size = 65536 };
    MUST_FAIL(sigaltstack(&other, NULL));
}
