// Tries to send descriptors through the zygote's bell.
// must: denied sendmsg
// with: { sandbox = { net = true } }
#include "attack.h"

ATTACK(bell_passed) {
    char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 1;
    struct iovec data = { &byte, 1 };
    struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    MUST_FAIL(sendmsg(3, &message, 0));
}
