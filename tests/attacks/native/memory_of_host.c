// Tries to open the host's memory, where files may be opened.
// must: values contained
// with: { sandbox = { read = { "/dev/zero" } } }
#include "attack.h"

ATTACK(memory_of_host) {
    char path[64];
    pid_t pids[] = { world->host, world->zygote, world->guard, world->victim };
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "/proc/%d/mem", pids[i]);
        if (syscall(SYS_openat, AT_FDCWD, path, O_RDWR) >= 0) return "opened the memory of another process";
        snprintf(path, sizeof path, "/proc/%d/fd/1", pids[i]);
        if (syscall(SYS_openat, AT_FDCWD, path, O_RDWR) >= 0) return "opened a descriptor of another process";
    }
    return CONTAINED;
}
