// Opens a plugin in a namespace of its own.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv) {
    void *handle = dlmopen(LM_ID_NEWLM, argv[1], RTLD_NOW);
    if (!handle) {
        puts(dlerror());
        return 0;
    }
    int (*value)(void) = (int (*)(void))dlsym(handle, "plugin_value");
    printf("value %d\n", value ? value() : -1);
    return 0;
}
