/* Looks at the loader's public list for debuggers, as crash reporters do, and waits. */
#include <link.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
    char byte;
    printf("%d\ndone\n", _r_debug.r_map != 0);
    fflush(stdout);
    while (read(0, &byte, 1) > 0) {}
    _exit(0);
}
