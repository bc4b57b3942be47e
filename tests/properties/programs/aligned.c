// Data aligned to 16 MiB, more than kernels give to any mapping by themselves.
#include <stdint.h>
#include <stdio.h>

#define ALIGNMENT (16 << 20)

static int filled __attribute__((aligned(ALIGNMENT))) = 1;
static int empty __attribute__((aligned(ALIGNMENT)));

int main(void) {
    int *volatile places[] = {&filled, &empty};
    for (int i = 0; i < 2; i++)
        if ((uintptr_t)places[i] % ALIGNMENT)
            return 1;
    if (filled != 1 || empty != 0)
        return 2;
    puts("aligned");
    return 0;
}
