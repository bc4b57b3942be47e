// Opens plugins that lie beside the program, by its search path and by $ORIGIN, and says what libraries are called.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void of_library(void);

static int print_name(struct dl_phdr_info *info, size_t size, void *unused) {
    (void)size, (void)unused;
    if (strstr(info->dlpi_name, "liblinked")) printf("listed: %s\n", info->dlpi_name);
    return 0;
}

static void open_plugin(const char *name) {
    void *plugin = dlopen(name, RTLD_NOW);
    Dl_info info = {0};
    if (plugin) dladdr(dlsym(plugin, "value"), &info);
    printf("%s: %s\n", name, plugin ? info.dli_fname : "not found");
}

int main(void) {
#ifndef ALONE
    of_library();
#endif
    open_plugin("libplugin.so");
    open_plugin("$ORIGIN/plugins/libother.so");
    open_plugin("libnowhere.so");
    dl_iterate_phdr(print_name, NULL);
#if defined __GLIBC__ && !defined ALONE
    // musl knows an open library by its inode, an output by its name.
    char path[4096] = "";
    if (readlink("/proc/self/exe", path, sizeof path - 100) > 0) {
        strcpy(strrchr(path, '/'), "/lib/liblinked.so");
        printf("open already: %d\n", dlopen(path, RTLD_NOW | RTLD_NOLOAD) != NULL);
    }
#endif
    return 0;
}
