/* Opens libraries, each given as HOW:FILE, calls `call` of each, and waits for the end of its input. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        char *file = strchr(argv[i], ':');
        if (!file) return 2;
        *file++ = 0;
        void *library;
        if (!strcmp(argv[i], "namespace"))
            library = dlmopen(LM_ID_NEWLM, file, RTLD_LAZY);
        else
            library = dlopen(file, !strcmp(argv[i], "global")     ? RTLD_NOW | RTLD_GLOBAL
                                   : !strcmp(argv[i], "deepbind") ? RTLD_NOW | RTLD_DEEPBIND
                                   : !strcmp(argv[i], "lazy")     ? RTLD_LAZY
                                                                  : RTLD_NOW);
        if (!library) {
            puts(dlerror());
            return 1;
        }
        int (*call)(void) = (int (*)(void))dlsym(library, "call");
        if (!call || call() < 0) return 3;
    }
    char byte;
    puts("done");
    fflush(stdout);
    while (read(0, &byte, 1) > 0) {}
    return 0;
}
