/* Calls what -fstack-protector-all and -D_FORTIFY_SOURCE replace. */
#include <stdio.h>
#include <string.h>

#ifdef WRITABLE_CODE
__asm__(".section .both,\"awx\",@progbits\n.byte 0\n.previous");
#endif

int main(int argc, char **argv) {
    char name[256];
    strcpy(name, argv[0]);
    puts(name);
    return argc - 1;
}
