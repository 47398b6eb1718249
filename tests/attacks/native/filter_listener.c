// Tries to install a filter of its own that answers its denied calls.
// must: denied seccomp
#include "attack.h"

ATTACK(filter_listener) {
    struct sock_filter allow = { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW };
    struct sock_fprog program = { 1, &allow };
    MUST_FAIL(syscall(SYS_seccomp, 1L, 8L, &program));
}
