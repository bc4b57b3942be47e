// Opens every argument. Says what came of it, which earlier handle it is the same as, and how many
// modules there are in the end.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef FLAGS
#define FLAGS RTLD_NOW
#endif

static int count(struct dl_phdr_info *info, size_t size, void *data) {
    // The vDSO has no name and is not always there.
    if (info->dlpi_name[0])
        ++*(int *)data;
    return 0;
}

int main(int argc, char **argv) {
    void *handles[64];
    int modules = 0;
    if (argc > 64)
        return 2;
    for (int i = 1; i < argc; i++) {
        handles[i] = dlopen(argv[i], FLAGS);
        if (!handles[i]) {
            printf("%d: %s\n", i, dlerror());
            continue;
        }
        int same = 1;
        while (handles[same] != handles[i])
            same++;
        int (*value)(void) = (int (*)(void))dlsym(handles[i], "plugin_value");
        printf("%d: same as %d, value %d\n", i, same, value ? value() : -1);
    }
    dl_iterate_phdr(count, &modules);
    printf("%d modules\n", modules);
    return 0;
}
