// Tries to read what others sent to the host by its standard output and error, and to change how the host's files are open.
// must: values contained
#include "attack.h"

ATTACK(read_streams) {
    char bytes[64];
    for (int stream = 1; stream <= 2; stream++) {
        struct stat about;
        if (fstat(stream, &about) != 0 || !S_ISSOCK(about.st_mode)) return "has an open file of the host";
        if (read(stream, bytes, sizeof bytes) > 0) return "read what was sent to the host";
    }
    return CONTAINED;
}
