// altered WHAT PROG ...: runs a program to which the kernel seems another one.
//   release=TEXT    uname(2) says so, the first time
//   page-size       AT_PAGESZ is 16 KiB
//   without=TYPE    there is no auxv entry of this type
//   taken=N         the N-th address and those behind that MAP_FIXED_NOREPLACE is used with are taken, as by a
//                   kernel that does not know it: the mapping is made elsewhere
#include <elf.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static int trouble(const char *what) {
    perror(what);
    return 99;
}

static void set_auxv(pid_t child, long type, long offset, long value) {
    struct user_regs_struct regs;
    ptrace(PTRACE_GETREGS, child, NULL, &regs);
    long *at = (long *)regs.rsp;
    at += 2 + ptrace(PTRACE_PEEKDATA, child, at, NULL);
    while (ptrace(PTRACE_PEEKDATA, child, at++, NULL))
        ;
    for (long found; (found = ptrace(PTRACE_PEEKDATA, child, at, NULL)) != AT_NULL; at += 2)
        if (found == type)
            ptrace(PTRACE_POKEDATA, child, at + offset, value);
}

// At the end of the next call of uname(2).
static void set_release(pid_t child, const char *text) {
    struct user_regs_struct regs;
    int status;
    do {
        ptrace(PTRACE_SYSCALL, child, NULL, NULL);
        if (waitpid(child, &status, 0) < 0 || !WIFSTOPPED(status))
            return;
        ptrace(PTRACE_GETREGS, child, NULL, &regs);
    } while (regs.orig_rax != 63 || (long)regs.rax == -ENOSYS);
    char *to = (char *)regs.rdi + offsetof(struct utsname, release);
    for (size_t i = 0; i <= strlen(text); i += sizeof(long)) {
        long word = 0;
        strncpy((char *)&word, text + i, sizeof word);
        ptrace(PTRACE_POKEDATA, child, to + i, word);
    }
}

// For all of the program's life.
static void give_others(pid_t child, long from) {
    struct user_regs_struct regs;
    int status;
    long number = 0;
    for (;;) {
        ptrace(PTRACE_SYSCALL, child, NULL, NULL);
        if (waitpid(child, &status, 0) < 0 || !WIFSTOPPED(status))
            break;
        ptrace(PTRACE_GETREGS, child, NULL, &regs);
        if (regs.orig_rax != 9 || !(regs.r10 & 0x100000) || (long)regs.rax != -ENOSYS || ++number < from)
            continue;
        regs.r10 &= ~0x100000;
        regs.rdi = 0;
        ptrace(PTRACE_SETREGS, child, NULL, &regs);
    }
    _exit(number < from ? 97 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

int main(int argc, char **argv) {
    int status;
    if (argc < 3)
        return 98;
    pid_t child = fork();
    if (child < 0)
        return trouble("fork");
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        execv(argv[2], argv + 2);
        _exit(trouble(argv[2]));
    }
    if (waitpid(child, &status, 0) < 0 || !WIFSTOPPED(status))
        return trouble("exec");
    if (!strncmp(argv[1], "release=", 8))
        set_release(child, argv[1] + 8);
    else if (!strcmp(argv[1], "page-size"))
        set_auxv(child, AT_PAGESZ, 1, 16 << 10);
    else if (!strncmp(argv[1], "without=", 8))
        set_auxv(child, atol(argv[1] + 8), 0, AT_IGNORE);
    else if (!strncmp(argv[1], "taken=", 6))
        give_others(child, atol(argv[1] + 6));
    else
        return 98;
    ptrace(PTRACE_DETACH, child, NULL, NULL);
    if (waitpid(child, &status, 0) < 0)
        return trouble("waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
