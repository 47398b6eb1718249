// Tries to read what the host's standard input has.
// must: values contained
#include "attack.h"

ATTACK(stdin_read) {
    char bytes[64];
    return read(0, bytes, sizeof bytes) > 0 ? "read standard input" : CONTAINED;
}
