// Tries to take away what others rang.
// must: values contained
#include "attack.h"

ATTACK(bell_read) {
    char bytes[64];
    return read(3, bytes, sizeof bytes) > 0 ? "read the bell" : CONTAINED;
}
