// Tries to connect to the internet.
// must: denied socket
#include "attack.h"

ATTACK(connect_inet) {
    MUST_FAIL(socket(AF_INET, SOCK_STREAM, 0));
}
