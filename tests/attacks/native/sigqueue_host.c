// Tries to send the host a signal with a value.
// must: denied rt_sigqueueinfo
#include "attack.h"

ATTACK(sigqueue_host) {
    siginfo_t about = { .si_signo = SIGTERM, .si_code = SI_QUEUE };
    MUST_FAIL(syscall(SYS_rt_sigqueueinfo, (long)world->host, (long)SIGTERM, &about));
}
