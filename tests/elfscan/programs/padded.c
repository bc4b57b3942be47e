/* What is chosen for choose() is a function whose description begins with the padding in front of it, as that of
   _dl_tlsdesc_dynamic_* in glibc 2.43's loader does. Says "done", and waits for the end of its input. */
#include <stdio.h>

__asm__(".text\n\t.p2align 4\n\tnop\n\t.cfi_startproc\n\t.p2align 4\n"
        "padded:\tmovl $7, %eax\n\tret\n\t.cfi_endproc\n");

extern int padded(void) __attribute__((visibility("hidden")));

static int (*resolve(void))(void) { return padded; }
int choose(void) __attribute__((ifunc("resolve")));

int main(void) {
    if (choose() != 7) return 1;
    puts("done");
    fflush(stdout);
    while (getchar() != EOF) {}
    return 0;
}
