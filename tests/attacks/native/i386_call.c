// Tries to make a call of 32-bit programs, which has other numbers.
// must: denied or signal or values contained
#include "attack.h"

ATTACK(i386_call) {
    #ifdef __x86_64__
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");
    return result > 0 ? "the call succeeded" : CONTAINED;
    #else
    return CONTAINED;
    #endif
}
