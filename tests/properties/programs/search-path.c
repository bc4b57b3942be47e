// Prints a number of an embedded library and one of a library that is opened by name, 0 if there is none.
#include <dlfcn.h>
#include <stdio.h>

extern int shared;

int main(void) {
    void *plug = dlopen("plug.so", RTLD_NOW);
    int *number = plug ? dlsym(plug, "number") : NULL;
    printf("shared %d, plug %d\n", shared, number ? *number : 0);
    return 0;
}
