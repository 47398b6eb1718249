// Tries to reach the machine's services.
// must: denied socket
#include "attack.h"

ATTACK(connect_unix) {
    MUST_FAIL(socket(AF_UNIX, SOCK_STREAM, 0));
}
