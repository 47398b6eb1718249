/* A module that stands for an interpreter which was taken over: it makes system calls as it likes.
 *
 * Each attack is a function in a file of its own, which returns CONTAINED, or a text that says what got through. Most
 * never return: the sandbox ends the process. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <time.h>
#include <unistd.h>

/* Whom to harm. */
struct world {
    pid_t host, zygote, guard, victim;
    const char *secret;
    void *lua;
};

#define CONTAINED "contained"
#define ATTACK(name) const char *attack_##name(const struct world *world)
/* A call that must not succeed. */
#define MUST_FAIL(call) return (call) < 0 ? CONTAINED : "the call succeeded"

/* The lines of /proc/PID/maps of this process, as the host saw them. */
const char *all_mappings(void);
/* A mapping of shared memory that this process can write. */
struct shared { char *start; size_t length; };
/* Those of this process, as the host saw them: nothing can be opened here. */
size_t shared_mappings(struct shared *found, size_t most);
/* The mailbox: 64 KiB of shared memory by which the job came. NULL if it is not found. */
char *mailbox(void);
