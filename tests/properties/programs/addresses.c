// Prints where things are: each module's first segment, stack, heap, thread-local storage, a fresh mapping.
#define _GNU_SOURCE
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

// musl's first blocks lie in the rest of the program's last page, as in the original.
#ifdef __GLIBC__
enum { BLOCK = 16 };
#else
enum { BLOCK = 200000 };
#endif

#ifdef LARGE
// More addresses than a huge page.
const volatile char large[LARGE] = {1};
#endif

static __thread int local;
static int modules;

static int print_module(struct dl_phdr_info *info, size_t size, void *unused) {
    (void)size, (void)unused;
    const char *name = strrchr(info->dlpi_name, '/');
    name = modules++ == 0 ? "program" : name ? name + 1 : info->dlpi_name;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD) {
            printf("%s %#lx\n", name, info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
            break;
        }
    return 0;
}

int main(int argc, char **argv) {
    (void)argc;
    dl_iterate_phdr(print_module, NULL);
    printf("stack %p\n", (void *)argv);
    printf("heap %p\n", malloc(BLOCK));
    printf("tls %p\n", (void *)&local);
    printf("mmap %p\n", mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    return 0;
}
