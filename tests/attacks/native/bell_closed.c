// Tries to close every descriptor.
// must: values contained
#include "attack.h"

ATTACK(bell_closed) {
    for (int i = 0; i < 1024; i++) close(i);
    return CONTAINED;
}
