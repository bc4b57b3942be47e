// Begins as ld.so does: entry code that calls, then a look at the program break. After that, or at once with -DAT_ONCE, it
// does nothing, for ever.
__asm__(".globl _start\n"
        "_start:\n"
        "    mov %rsp, %rdi\n"
        "    call endless\n"
        "    ud2\n");

__attribute__((visibility("hidden"), used, noreturn)) void endless(void *stack) {
    (void)stack;
#ifndef AT_ONCE
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(12L), "D"(0L) : "rcx", "r11", "memory");
#endif
    for (;;)
        ;
}
