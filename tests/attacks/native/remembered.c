// Tries to find in all of its memory what jobs before it were sent, called, granted, and what they returned and printed.
// must: values contained
// with: { cpu = 3000 }
#include "attack.h"

/* What the driver's secrets begin with, each byte with this added, so that it stands nowhere here. */
static const unsigned char hidden[] = { 'h' + 1, 'u' + 1, 'n' + 1, 't' + 1, 'e' + 1, 'r' + 1, '-' + 1, '4' + 1, '7' + 1, '1' + 1, '1' + 1 };

static int is_secret(const volatile unsigned char *at) {
    for (size_t i = 0; i < sizeof hidden; i++)
        if (at[i] + 1 != hidden[i]) return 0;
    return 1;
}

/* Whether a page is there: it may be gone since the host looked. */
static int is_there(const unsigned char *page) {
    struct timespec none = { 0 };
    return syscall(SYS_futex, page, 128 /* FUTEX_WAIT_PRIVATE */, 1, &none, 0, 0) == 0 || errno != EFAULT;
}

ATTACK(remembered) {
    static char found[200];
    const char *maps = all_mappings();
    size_t looked = 0;
    for (const char *line = maps; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        unsigned long from, to;
        char access[5], name[100] = "";
        if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %99[^\n]", &from, &to, access, name) < 3 || access[0] != 'r') continue;
        /* Files of everybody; the kernel's; what it may write as a reply, of which pages would come with the look. Of
         * objects, which are large and empty for the most part, the beginning. */
        if (access[1] != 'w' && name[0] == '/' && !strstr(name, "/dev/shm")) continue;
        if (strstr(name, "[v") || strstr(name, ".room")) continue;
        if (strstr(name, "llib-tree-") && to - from > 1 << 18) to = from + (1 << 18);
        for (const unsigned char *page = (unsigned char *)from; page < (unsigned char *)to; page += 4096) {
            if (!is_there(page)) continue;
            size_t length = page + 4096 < (unsigned char *)to && is_there(page + 4096) ? 4096 : 4096 - sizeof hidden;
            looked += length;
            for (const unsigned char *at = page; (at = memchr(at, hidden[0] - 1, page + length - at)); at++)
                if (is_secret(at)) {
                    snprintf(found, sizeof found, "%.8s in %s", at + sizeof hidden, name);
                    return found;
                }
        }
    }
    return looked > 1 << 20 ? CONTAINED : "nothing can be looked at";
}
