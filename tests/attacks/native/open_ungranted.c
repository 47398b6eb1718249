// Tries to open files beside a granted one, by every detour.
// must: values contained
// with: { sandbox = { read = { "/dev/zero" } } }
#include "attack.h"

ATTACK(open_ungranted) {
    static const char *paths[] = { "/etc/passwd", "/proc/self/mem", "/proc/self/../1/environ", "/dev/shm", "/", "/proc/self/root/etc/passwd", "/dev/mem", 0 };
    for (int i = 0; paths[i]; i++) {
        if (syscall(SYS_openat, AT_FDCWD, paths[i], O_RDONLY) >= 0) return paths[i];
        if (syscall(SYS_openat, AT_FDCWD, paths[i], O_RDWR | O_TRUNC) >= 0) return paths[i];
    }
    return syscall(SYS_openat, AT_FDCWD, world->secret, O_WRONLY | O_TRUNC) < 0 ? CONTAINED : "emptied a file";
}
