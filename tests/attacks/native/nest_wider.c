// Tries to have a job started with walls of its own choice.
// must: values contained
#include "nest.h"

/* Settings as they travel: a name, search paths, a directory, limits, a policy that grants the secret's folder and programs, a
 * post in a pool. */
static size_t settings(unsigned char *to, const char *folder) {
    size_t at = 4, folder_length = strlen(folder);
    to[at++] = 1; to[at++] = 'x';                    /* name */
    to[at++] = 1; to[at++] = 4; memcpy(to + at, "/?.l", 4); at += 4;   /* path */
    to[at++] = 1; to[at++] = 4; memcpy(to + at, "/?.s", 4); at += 4;   /* cpath */
    to[at++] = 1; to[at++] = 1; to[at++] = '/';      /* directory */
    to[at++] = 0;                                    /* nice */
    to[at++] = 0; to[at++] = 0;                      /* streams */
    for (int i = 0; i < 5; i++) to[at++] = 0;        /* limits: none */
    to[at++] = 1;                                    /* a policy */
    to[at++] = 1; to[at++] = (unsigned char)folder_length; memcpy(to + at, folder, folder_length); at += folder_length;
    to[at++] = 0;                                    /* write */
    to[at++] = 1; to[at++] = 1;                      /* net, exec */
    to[at++] = 0; to[at++] = 0;                      /* env, libs */
    to[at++] = 4; to[at++] = 1;                      /* jobs, best_effort */
    to[at++] = 0;                                    /* pool: none */
    uint32_t length = (uint32_t)(at - 4);
    memcpy(to, &length, 4);
    return at;
}

ATTACK(nest_wider) {
    if (!open_nest()) return "no mailbox";
    char *message = box(0), folder[4096];
    strncpy(folder, world->secret, sizeof folder - 1);
    *strrchr(folder, '/') = 0;
    if (strlen(folder) > 100) return CONTAINED;
    for (size_t at = 0; at < 384; at++) message[at] = 0;
    size_t used = settings((unsigned char *)message + 384, folder);
    *long_word(message, 48) = used;
    *word(message, 28) = 1;
    *word(message, 0) = 2;
    for (int limit = 0; limit < 3; limit++) *long_word(nest, LIMIT(limit)) = (uint64_t)-1;
    *word(nest, 0) = 2;
    ask();
    /* It is told why, in words. */
    for (int i = 0; i < 3000 && *word(message, 4) == 0 && *word(nest, 0) != 4; i++) usleep(1000);
    if (*word(message, 4) != 2) return "the job was not refused in words";
    for (size_t at = 384; at < 3000; at++)
        if (!memcmp(message + at, "cannot grant", 12)) return CONTAINED;
    return "the job was not refused for what it asks";
}
