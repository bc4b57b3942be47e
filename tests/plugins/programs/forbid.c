// Executes a program that may not make the system calls given by name before "--": they fail
// with EPERM, or what it is compiled for.
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef ERROR
#define ERROR EPERM
#endif

static const struct {
    const char *name;
    int number;
} calls[] = {{"memfd_create", SYS_memfd_create}, {"pwrite64", SYS_pwrite64}, {"statx", SYS_statx}};

static int number_of(const char *name) {
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (!strcmp(calls[i].name, name))
            return calls[i].number;
    exit(5);
}

int main(int argc, char **argv) {
    int i = 1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return 3;
    for (; i < argc && strcmp(argv[i], "--"); i++) {
        struct sock_filter code[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number_of(argv[i]), 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ERROR),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog filter = {4, code};
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
            return 3;
    }
    execv(argv[i + 1], argv + i + 1);
    return 4;
}
