// Says what a library that it is linked with says.
#include <stdio.h>

extern int shared;

int main(void) {
    printf("shared %d\n", shared);
    return 0;
}
