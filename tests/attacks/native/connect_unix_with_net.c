// Tries to reach the machine's services where the internet was granted.
// must: values contained
// with: { sandbox = { net = true } }
#include "attack.h"

ATTACK(connect_unix_with_net) {
    if (socket(AF_UNIX, SOCK_STREAM, 0) >= 0) return "a Unix socket";
    if (socket(AF_NETLINK, SOCK_RAW, 0) >= 0) return "a netlink socket";
    if (socket(AF_PACKET, SOCK_RAW, 0) >= 0) return "a packet socket";
    if (socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0) return "a raw socket";
    if (socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP) >= 0) return "a socket for pings";
    if (socket(AF_INET, SOCK_STREAM, 262 /* IPPROTO_MPTCP */) >= 0) return "a socket of another protocol than TCP";
    if (socket(AF_ALG, SOCK_SEQPACKET, 0) >= 0) return "a socket of the kernel's ciphers";
    return socket(AF_VSOCK, SOCK_STREAM, 0) >= 0 ? "a socket to the hypervisor" : CONTAINED;
}
