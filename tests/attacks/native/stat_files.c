// Tries to ask for the size of files that it may not read.
// must: values contained
// with: { sandbox = { read = { "/dev/zero" } } }
#include "attack.h"

ATTACK(stat_files) {
    struct stat about;
    MUST_FAIL(stat("/etc/passwd", &about));
}
