// Tries to make a worker take up memory and time with settings that are long, before its limits are known.
// must: values contained
// with: { cpu = 2000 }
#include "nest.h"

ATTACK(nest_settings) {
    if (!open_nest()) return "no mailbox";
    char *b = box(0);
    size_t room = share < (1 << 21) ? share : 1 << 21;
    madvise(b, room, 23 /* MADV_POPULATE_WRITE */);
    place_job(0, 1 << 20, 100000, 2);
    unsigned char *to = (unsigned char *)b + 384;
    size_t at = 4;
    static const unsigned char head[] = { 1, 'x', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 };
    memcpy(to + at, head, sizeof head);
    at += sizeof head;
    /* As many empty paths as there is room for. */
    size_t count = room - 600, rest = count;
    for (; rest > 127; rest >>= 7) to[at++] = (rest & 127) | 128;
    to[at++] = rest;
    memset(to + at, 0, count);
    at += count + 8;
    uint32_t length = at - 4;
    memcpy(to, &length, 4);
    *long_word(b, 48) = at;
    ask();
    for (int i = 0; i < 3000 && *word(b, 4) == 0 && *word(control(0), 0) != 4; i++) usleep(1000);
    *word(b, 0) = 3;
    syscall(SYS_futex, b, 1, 10, 0, 0, 0);
    for (int i = 0; i < 3000 && *word(control(0), 0) != 4; i++) usleep(1000);
    if (*word(control(0), 0) != 4) return "its worker does not end";
    return *long_word(control(0), 72) > 64 << 10 ? "it took up memory" : CONTAINED;
}
