// Tries to reach the machine's services with one end of a pair of sockets, where programs may be run.
// must: values contained
// with: { sandbox = { exec = true, best_effort = true } }
#include "attack.h"

ATTACK(datagram_pair_with_exec) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0) return "a datagram socket";
    if (socket(AF_UNIX, SOCK_DGRAM, 0) >= 0) return "a Unix socket";
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) return "no pair of streams, which programs need";
    struct sockaddr_un service = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
    if (connect(ends[0], (void *)&service, sizeof service) == 0) return "a stream was connected anew";
    return sendto(ends[0], "x", 1, 0, (void *)&service, sizeof service) >= 0 ? "it was sent elsewhere" : CONTAINED;
}
