// An interpreter that loads nothing. With -DMUSL it has the names by which musl's is known; what it does then is chosen by
// the other definitions.
__asm__(".globl _start\n"
        "_start:\n"
        "    mov %rsp, %rdi\n"
        "    call begin\n"
        "    ud2\n");

#ifdef MUSL
void __dls3(void) {}
void __libc_start_main(void) {}
#endif

static long call(long number, long a, long b, long c, long d, long e, long f) {
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall" : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

__attribute__((visibility("hidden"), used, noreturn)) void begin(long *stack) {
    call(12, 0, 0, 0, 0, 0, 0); // brk
#ifdef EXIT
    call(231, 3, 0, 0, 0, 0, 0); // exit_group
#endif
#ifdef CRASH
    __builtin_trap();
#endif
#ifdef MAP_SHARED
    call(9, 0, 4096, 3, 0x21, -1, 0); // mmap, MAP_SHARED | MAP_ANONYMOUS
#endif
#ifdef OTHER_STACK
    long *entry = stack + 1 + *stack + 1;
    while (*entry++)
        ;
    while (*entry != 9) // AT_ENTRY
        entry += 2;
    __asm__ volatile("lea -256(%1), %%rsp; jmp *%0" : : "r"(entry[1]), "r"(stack) : "memory");
#endif
    (void)stack;
    for (;;)
        ;
}
