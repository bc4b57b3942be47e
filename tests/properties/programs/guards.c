// Prints the stack canary and the pointer guard (with musl the allocator's secret), after checking that they come from
// AT_RANDOM as the C library takes them.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#ifdef __GLIBC__
#define ZERO UINT64_C(0xff)
static uint64_t second(void) {
    uint64_t guard;
    __asm__("mov %%fs:0x30, %0" : "=r"(guard));
    return guard;
}
#else
#define ZERO UINT64_C(0xff00)
// A block's group is 16 bytes before its slots and begins with its record's address; records' pages begin with the secret.
static uint64_t second(void) {
    unsigned char *block = malloc(1);
    unsigned char *group = block - 16 * *(uint16_t *)(block - 2) - 16;
    return *(uint64_t *)(*(uintptr_t *)group & -4096ul);
}
#endif

int main(void) {
    uint64_t canary, guard, random[2];
    __asm__("mov %%fs:0x28, %0" : "=r"(canary));
    guard = second();
    memcpy(random, (void *)getauxval(AT_RANDOM), sizeof random);
    if (canary != (random[0] & ~ZERO) || guard != random[1]) {
        fprintf(stderr, "canary %#lx, guard %#lx, AT_RANDOM %#lx %#lx\n", canary, guard, random[0], random[1]);
        return 1;
    }
    printf("%#lx\n%#lx\n", canary, guard);
    return 0;
}
