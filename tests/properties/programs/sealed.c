// Tries to make text and PT_GNU_RELRO pages writable. Ends with 77 where the kernel has no mseal.
#define _GNU_SOURCE
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MSEAL 462

static int tried;

static int try(struct dl_phdr_info *info, size_t size, void *bad) {
    (void)size;
    // ld.so's own pages are left open: it writes to them when it loads and unloads libraries.
    if (strstr(info->dlpi_name, "ld-linux") || strstr(info->dlpi_name, "vdso"))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        unsigned long start = info->dlpi_addr + header->p_vaddr;
        unsigned long end = (start + header->p_memsz) & ~4095UL;
        int text = header->p_type == PT_LOAD && header->p_flags & PF_X;
        start &= ~4095UL;
        if ((!text && header->p_type != PT_GNU_RELRO) || start >= end)
            continue;
        tried++;
        // Executable as well, so that this program can go on to say that it worked.
        if (mprotect((void *)start, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) == 0 || errno != EPERM) {
            fprintf(stderr, "'%s' %s %#lx: %s\n", info->dlpi_name, text ? "text" : "relro", start, strerror(errno));
            *(int *)bad = 1;
        }
    }
    return 0;
}

int main(void) {
    int bad = 0;
    if (syscall(MSEAL, NULL, 0, 0) != 0 && errno == ENOSYS)
        return 77;
    dl_iterate_phdr(try, &bad);
    return bad ? 1 : tried >= 2 ? 0 : 2;
}
