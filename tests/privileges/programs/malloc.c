// Says whether glibc's variables for malloc have an effect.
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    // Bit 1 of the word in front of a block: it is a mapping of its own.
    size_t *large = malloc(200000);
    printf("a large block is mapped: %d\n", (int)(large[-1] & 2) != 0);
    return 0;
}
