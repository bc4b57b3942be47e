// Checks, before the first constructor, that the PT_GNU_RELRO range of every module is read-only.
#define _GNU_SOURCE
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char maps[1 << 16];
static int ranges;

// Is any page from `start` to `end` writable, or not mapped?
static int writable(unsigned long start, unsigned long end) {
    unsigned long low, high, covered = start;
    char write;
    for (char *line = maps; *line; line++) {
        if (sscanf(line, "%lx-%lx %*c%c", &low, &high, &write) != 3)
            return 1;
        if (low <= covered && covered < high) {
            if (write == 'w')
                return 1;
            covered = high;
            if (covered >= end)
                return 0;
        }
        while (*line != '\n')
            line++;
    }
    return 1;
}

static int check(struct dl_phdr_info *info, size_t size, void *bad) {
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        unsigned long page = 4095, start = info->dlpi_addr + header->p_vaddr;
        // ld.so rounds both ends down.
        unsigned long end = (start + header->p_memsz) & ~page;
        start &= ~page;
        if (header->p_type != PT_GNU_RELRO || start == end)
            continue;
        ranges++;
        if (writable(start, end)) {
            fprintf(stderr, "'%s' %#lx-%#lx\n", info->dlpi_name, start, end);
            *(int *)bad = 1;
        }
    }
    return 0;
}

static void early(void) {
    int bad = 0, file = open("/proc/self/maps", O_RDONLY);
    for (ssize_t filled = 0, count; (count = read(file, maps + filled, sizeof maps - 1 - filled)) > 0;)
        filled += count;
    close(file);
    dl_iterate_phdr(check, &bad);
    if (bad) {
        fputs(maps, stderr);
        fflush(stderr);
        _exit(1);
    }
}

#ifdef __GLIBC__
enum { MODULES = 3 }; // program, libc, ld.so
__attribute__((section(".preinit_array"), used)) static void (*const preinit)(void) = early;
#else
enum { MODULES = 2 };
__attribute__((constructor)) static void begin(void) { early(); }
#endif

int main(void) {
    return ranges >= MODULES ? 0 : 2;
}
