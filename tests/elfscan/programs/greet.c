#include <stdio.h>

/* A table of pointers in read-only data, so that there is RELRO to be patched. */
static const char *const words[] = {"hello", "world"};

int main(int argc, char **argv) {
    (void)argv;
    printf("%s %s\n", words[0], words[argc > 1 ? 0 : 1]);
    return 0;
}
