/* Overwrites something of its own, says where and with what, and waits for the end of its input. */
#define _GNU_SOURCE
/* Its own memory has offsets of 32 bits without a sign. */
#define _FILE_OFFSET_BITS 64
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

__attribute__((noinline)) int victim(int number) { return number * 3 + 1; }
__attribute__((noinline)) int evil(int number) { return number - 1; }

struct operations { int (*first)(int), (*second)(int); };
__attribute__((section(".data.rel.ro"))) struct operations operations = {victim, victim};

static void at_end(void) {}
__attribute__((section(".fini_array"), used)) static void (*ending)(void) = at_end;

#ifdef __LP64__
typedef ElfW(Rela) entry_type;
enum { TABLE = DT_RELA, SIZE = DT_RELASZ, INDIRECT = R_X86_64_IRELATIVE };
#define TYPE ELF64_R_TYPE
#define SYMBOL ELF64_R_SYM
#else
typedef ElfW(Rel) entry_type;
enum { TABLE = DT_REL, SIZE = DT_RELSZ, INDIRECT = R_386_IRELATIVE };
#define TYPE ELF32_R_TYPE
#define SYMBOL ELF32_R_SYM
#endif

struct wanted { const char *module, *symbol; int kind; uintptr_t slot; };

static int find(struct dl_phdr_info *info, size_t size, void *data) {
    struct wanted *wanted = data;
    (void)size;
    if (!strstr(info->dlpi_name, wanted->module) || (!*wanted->module && *info->dlpi_name)) return 0;
    const ElfW(Dyn) *dynamic = NULL;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            dynamic = (void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    uintptr_t value[64] = {0};
    for (; dynamic && dynamic->d_tag; dynamic++)
        if (dynamic->d_tag < 64) value[dynamic->d_tag] = dynamic->d_un.d_val;
    const ElfW(Sym) *symbols = (void *)value[DT_SYMTAB];
    const char *names = (void *)value[DT_STRTAB];
    uintptr_t tables[2] = {value[TABLE], value[DT_JMPREL]};
    uintptr_t sizes[2] = {value[SIZE], value[DT_PLTRELSZ]};
    if (wanted->kind == -1) { /* the word by which lazy binding finds the loader */
        wanted->slot = value[DT_PLTGOT] + 2 * sizeof(void *);
        return 1;
    }
    for (int table = 0; table < 2; table++) {
        const entry_type *entry = (void *)tables[table];
        for (; (uintptr_t)entry < tables[table] + sizes[table]; entry++) {
            int kind = TYPE(entry->r_info);
            const char *name = names + symbols[SYMBOL(entry->r_info)].st_name;
            if (wanted->kind ? kind == wanted->kind : !strcmp(name, wanted->symbol)) {
                wanted->slot = info->dlpi_addr + entry->r_offset;
                uintptr_t now = *(uintptr_t *)wanted->slot;
                if (now) return 1;
            }
        }
    }
    return 0;
}

static void overwrite(uintptr_t address, const void *bytes, size_t size) {
    uintptr_t page = address & -4096ul;
    int code = address >= (uintptr_t)victim - 4096 && address < (uintptr_t)victim + 4096;
    if (getenv("MPROTECT")) {
        if (mprotect((void *)page, 4096, PROT_READ | PROT_WRITE | (code ? PROT_EXEC : 0))) _exit(3);
        memcpy((void *)address, bytes, size);
        if (!getenv("LEFT_WRITABLE")) mprotect((void *)page, 4096, PROT_READ | (code ? PROT_EXEC : 0));
        return;
    }
    /* Whatever is read-only, or sealed. */
    int memory = open("/proc/self/mem", O_RDWR);
    if (memory < 0 || pwrite(memory, bytes, size, address) != (ssize_t)size) _exit(3);
    close(memory);
}

int main(int argc, char **argv) {
    char buffer[64];
    const char *what = argc > 1 ? argv[1] : "nothing";
    uintptr_t slot = 0, value = (uintptr_t)evil;
    struct wanted wanted = {"", "", 0, 0};
    if (!strcmp(what, "slot") || !strcmp(what, "ifunc") || !strcmp(what, "middle")) {
        wanted.symbol = !strcmp(what, "slot") ? "getppid" : "memmove";
        if (dl_iterate_phdr(find, &wanted)) slot = wanted.slot;
    } else if (!strcmp(what, "resolver")) {
        wanted.kind = -1;
        if (dl_iterate_phdr(find, &wanted)) slot = wanted.slot;
    } else if (!strcmp(what, "libc")) {
        wanted.module = "libc.so.6", wanted.kind = INDIRECT;
        if (dl_iterate_phdr(find, &wanted)) slot = wanted.slot;
    } else if (!strcmp(what, "pointer")) {
        slot = (uintptr_t)&operations.second;
    } else if (!strcmp(what, "ending")) {
        slot = (uintptr_t)&ending;
    } else if (!strcmp(what, "code")) {
        slot = (uintptr_t)victim;
    }
    /* Bound now, however late. */
    memmove(buffer, buffer + 1, getppid() & 15);
    write(1, "", 0);
    read(0, buffer, 0);
    int null = open("/dev/null", O_RDWR);
    pwrite(null, buffer, 1, 0);
    close(null);
    if (!strcmp(what, "middle")) value = *(uintptr_t *)slot + 5;
    printf("%#lx %#lx %#lx\n", (unsigned long)slot, (unsigned long)value, (unsigned long)victim);
    fflush(stdout);
    if (slot && !strcmp(what, "code"))
        overwrite(slot, "\xe9\x78\x56\x34\x12", 5);
    else if (slot)
        overwrite(slot, &value, sizeof value);
    write(1, "done\n", 5);
    while (read(0, buffer, 1) > 0) {}
    _exit(operations.first(1) == 0);
}
