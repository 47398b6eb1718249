// Tries to have memory that is executable.
// must: denied mmap
#include "attack.h"

ATTACK(mmap_exec) {
    MUST_FAIL((long)mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}
