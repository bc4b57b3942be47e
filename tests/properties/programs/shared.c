// Prints the value of a library's variable, or, with -DALONE, of one of its own.
#include <stdio.h>

#ifdef ALONE
int shared = 1;
#else
extern int shared;
#endif

int main(void) {
    printf("shared %d\n", shared);
    return 0;
}
