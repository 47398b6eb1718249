// Tries to run code that it wrote.
// must: denied mprotect
#include "attack.h"

ATTACK(mprotect_exec) {
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST_FAIL(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}
