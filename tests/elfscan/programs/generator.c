/* Has executable memory of its own making, as a just-in-time compiler has. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void) {
    char byte;
    unsigned char *code = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    code[0] = 0xc3;
    if (mprotect(code, 4096, PROT_READ | PROT_EXEC)) return 1;
    ((void (*)(void))code)();
    puts("done");
    fflush(stdout);
    while (read(0, &byte, 1) > 0) {}
    return 0;
}
