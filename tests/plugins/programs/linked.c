// A program with a library of its own, whose function must be the one that dlopen finds by any path.
#include <dlfcn.h>
#include <stdio.h>

int own(void);

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        void *handle = dlopen(argv[i], RTLD_NOW);
        if (!handle)
            printf("%s\n", dlerror());
        else
            puts(dlsym(handle, "own") == (void *)own ? "the same" : "another");
    }
    return 0;
}
