// Checks that every page that holds nothing but procedure linkage slots is read-only, in all modules.
#define _GNU_SOURCE
#include <link.h>
#include <stdio.h>
#include <stdlib.h>

int call_all(void);

static int pages;

static int writable(unsigned long address) {
    unsigned long low, high;
    char write, line[512];
    int answer = 1;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx %*c%c", &low, &high, &write) == 3 && low <= address && address < high)
            answer = write == 'w';
    fclose(maps);
    return answer;
}

static int check(struct dl_phdr_info *info, size_t size, void *bad) {
    (void)size;
    const ElfW(Dyn) *entry = NULL;
    unsigned long table = 0, bytes = 0, low = -1, high = 0;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            entry = (void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    for (; entry && entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == DT_JMPREL)
            table = entry->d_un.d_ptr;
        else if (entry->d_tag == DT_PLTRELSZ)
            bytes = entry->d_un.d_val;
    // ld.so has made the pointers in dynamic sections absolute, the vDSO's aside.
    if (table < info->dlpi_addr)
        table += info->dlpi_addr;
    for (unsigned long i = 0; i < bytes / sizeof(ElfW(Rela)); i++) {
        const ElfW(Rela) *relocation = (ElfW(Rela) *)table + i;
        unsigned long slot = info->dlpi_addr + relocation->r_offset;
        if (ELF64_R_TYPE(relocation->r_info) == R_X86_64_JUMP_SLOT) {
            low = slot < low ? slot : low;
            high = slot + 8 > high ? slot + 8 : high;
        }
    }
    for (unsigned long page = (low + 4095) & ~4095UL; low < high && page + 4096 <= high; page += 4096) {
        pages++;
        if (writable(page)) {
            fprintf(stderr, "'%s' %#lx\n", info->dlpi_name, page);
            *(int *)bad = 1;
        }
    }
    return 0;
}

int main(void) {
    int bad = 0;
    dl_iterate_phdr(check, &bad);
    if (call_all() != SUM)
        return 3;
    return bad ? 1 : pages ? 0 : 2;
}
