// Says on descriptor 7 what a start has made of a process: identity, environment, descriptors, what the loader knows.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

extern char **environ;

// Strings of the loader that its read-only variables point at: where profiles go is one of them.
static void loader_strings(void) {
    char *variables = dlsym(RTLD_DEFAULT, "_rtld_global_ro");
    Dl_info info;
    const ElfW(Sym) *symbol = NULL;
    if (!variables || !dladdr1(variables, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol)
        return;
    const char *base = info.dli_fbase;
    for (size_t at = 0; at + 8 <= symbol->st_size; at += 8) {
        const char *pointer = *(const char **)(variables + at);
        if (pointer > base && pointer < variables && *pointer == '/')
            dprintf(7, "loader: %zu %s\n", at, pointer);
    }
}

int main(int argc, char **argv) {
    dprintf(7, "argc: %d\n", argc);
    for (int i = 1; i < argc; i++)
        dprintf(7, "argument: %s\n", argv[i]);
    uid_t uid[3];
    gid_t gid[3];
    getresuid(&uid[0], &uid[1], &uid[2]);
    getresgid(&gid[0], &gid[1], &gid[2]);
    dprintf(7, "ids: %d %d %d, %d %d %d\n", uid[0], uid[1], uid[2], gid[0], gid[1], gid[2]);
    dprintf(7, "auxv: %lu, %lu %lu %lu %lu\n", getauxval(AT_SECURE), getauxval(AT_UID), getauxval(AT_EUID),
            getauxval(AT_GID), getauxval(AT_EGID));
    int *secure = dlsym(RTLD_DEFAULT, "__libc_enable_secure");
    dprintf(7, "flag: %d\n", secure ? *secure : -1);
    dprintf(7, "dumpable: %d\n", prctl(PR_GET_DUMPABLE));
    dprintf(7, "secure_getenv: %s\n", secure_getenv("GIVEN") ? "answers" : "does not");
    for (char **entry = environ; *entry; entry++)
        dprintf(7, "environment: %s\n", *entry);
    for (int fd = 0; fd < 7; fd++) {
        struct stat stat;
        if (fstat(fd, &stat))
            continue;
        int flags = fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NOFOLLOW | O_NONBLOCK);
        if (S_ISCHR(stat.st_mode))
            dprintf(7, "descriptor: %d device %d:%d, flags %o\n", fd, major(stat.st_rdev), minor(stat.st_rdev), flags);
        else
            dprintf(7, "descriptor: %d kind %o, flags %o\n", fd, stat.st_mode & S_IFMT, flags);
    }
    dprintf(7, "next: %d\n", open("/", O_RDONLY));
    loader_strings();
    return 0;
}
