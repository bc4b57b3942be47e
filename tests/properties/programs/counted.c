// Prints what is found by a distance that a library holds.
#include <stdio.h>

int *found(void);

int main(void) {
    printf("%d\n", *found());
    return 0;
}
