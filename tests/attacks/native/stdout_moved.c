// Tries to write over what the host has printed.
// must: values contained
#include "attack.h"

ATTACK(stdout_moved) {
    if (lseek(1, 0, SEEK_SET) >= 0) return "moved";
    return lseek(2, 0, SEEK_SET) >= 0 ? "moved" : CONTAINED;
}
