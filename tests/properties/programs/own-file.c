/* Reads its own file, in the way that its first argument says. */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef SIZE
#define SIZE 1
#endif
/* What makes the file large. */
const char room[SIZE] = {1};

static const char *file;
static size_t size;
static const Elf64_Ehdr *header;
static const Elf64_Shdr *sections;

__attribute__((noinline)) int a_function_with_a_name(int a) { return a + 1; }

static const char *name_of_section(const Elf64_Shdr *s) {
    return file + sections[header->e_shstrndx].sh_offset + s->sh_name;
}

static const Elf64_Shdr *section(const char *name) {
    for (int i = 0; i < header->e_shnum; i++)
        if (!strcmp(name_of_section(sections + i), name)) return sections + i;
    return 0;
}

/* The symbol at an address of the file. */
static const char *symbol(uintptr_t address) {
    const Elf64_Shdr *table = section(".symtab");
    if (!table) return "no table";
    const Elf64_Sym *s = (const void *)(file + table->sh_offset);
    for (size_t i = 0; i < table->sh_size / sizeof *s; i++)
        if (s[i].st_value <= address && address < s[i].st_value + s[i].st_size)
            return file + sections[table->sh_link].sh_offset + s[i].st_name;
    return "unknown";
}

static int first(struct dl_phdr_info *info, size_t len, void *bias) {
    *(uintptr_t *)bias = info->dlpi_addr;
    return 1;
}

/* By the mapping that an address lies in, and the file's own program headers. */
static uintptr_t by_mapping(uintptr_t pc) {
    char line[1000];
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long start, end, offset;
    while (fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx %*s %lx", &start, &end, &offset) == 3 && start <= pc && pc < end) break;
    fclose(maps);
    unsigned long at = pc - start + offset;
    const Elf64_Phdr *p = (const void *)(file + header->e_phoff);
    for (int i = 0; i < header->e_phnum; i++)
        if (p[i].p_type == PT_LOAD && p[i].p_offset <= at && at < p[i].p_offset + p[i].p_filesz)
            return at - p[i].p_offset + p[i].p_vaddr;
    return 0;
}

int main(int argc, char **argv) {
    const char *how = argv[1];
    struct stat s;
    int fd = open("/proc/self/exe", O_RDONLY);
    if (fd < 0 || fstat(fd, &s)) return 9;
    size = s.st_size;
    file = mmap(0, size, PROT_READ, MAP_PRIVATE, fd, 0);
    header = (const void *)file;
    sections = (const void *)(file + header->e_shoff);
    if (!strcmp(how, "end")) {
        printf("%.16s\n", file + size - 16);
    } else if (!strcmp(how, "offset")) {
        uint64_t at;
        memcpy(&at, file + size - 8, 8);
        printf("%.16s\n", file + at);
    } else if (!strcmp(how, "known-offset")) {
        unsigned long at;
        sscanf(argv[2], "%lu", &at);
        printf("%.16s\n", file + at);
    } else if (!strcmp(how, "behind")) {
        printf("%.16s\n", file + header->e_shoff + header->e_shnum * header->e_shentsize);
    } else if (!strcmp(how, "section")) {
        const Elf64_Shdr *found = section(argv[2]);
        if (!found) return 8;
        printf("%.*s %ld\n", (int)found->sh_size, file + found->sh_offset, (long)found->sh_flags);
    } else if (!strcmp(how, "constants")) {
        /* .rodata holds what is in memory. */
        const Elf64_Shdr *found = section(".rodata");
        puts(found && memmem(file + found->sh_offset, found->sh_size, "in memory", 9) ? "in memory" : "not");
    } else if (!strcmp(how, "name")) {
        uintptr_t bias;
        dl_iterate_phdr(first, &bias);
        puts(symbol((uintptr_t)a_function_with_a_name - bias));
    } else if (!strcmp(how, "name-by-mapping")) {
        puts(symbol(by_mapping((uintptr_t)a_function_with_a_name)));
    }
    return a_function_with_a_name(room[0]) != 2;
}
