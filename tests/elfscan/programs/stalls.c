/* Makes itself hard to look at, says "done", and waits for the end of its input. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern ElfW(Dyn) _DYNAMIC[];

static struct r_debug *list(void) {
    for (ElfW(Dyn) *entry = _DYNAMIC; entry->d_tag; entry++)
        if (entry->d_tag == DT_DEBUG) return (void *)entry->d_un.d_ptr;
    return NULL;
}

static void *change(void *unused) {
    (void)unused;
    for (;;) {
        int file = open("/proc/self/exe", O_RDONLY);
        void *at = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
        close(file);
        munmap(at, 4096);
    }
    return NULL;
}

int main(int argc, char **argv) {
    char byte;
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "mappings")) {
        /* Every other page of one mapping has another protection. */
        size_t size = 60000ul * 4096;
        char *at = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        for (size_t page = 0; page < size; page += 8192) mprotect(at + page, 4096, PROT_NONE);
    } else if (!strcmp(what, "circle")) {
        struct link_map *map = list()->r_map;
        while (map->l_next) map = map->l_next;
        map->l_next = list()->r_map;
    } else if (!strcmp(what, "long")) {
        enum { COUNT = 1 << 20 };
        struct link_map *maps = calloc(COUNT, sizeof *maps), *map = list()->r_map;
        for (int i = 0; i + 1 < COUNT; i++) maps[i] = *map, maps[i].l_next = &maps[i + 1];
        list()->r_map->l_next = maps;
    } else if (!strcmp(what, "sparse")) {
        /* A file of terabytes, whose code is mapped, and as much memory. */
        int file = open(argv[2], O_RDWR | O_CREAT, 0700);
        size_t size = 1ul << 40;
        if (file < 0 || ftruncate(file, size)) size = 1ul << 34, ftruncate(file, size);
        mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
        int anonymous = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        mmap(NULL, 1ul << 42, PROT_READ | PROT_EXEC, anonymous, -1, 0);
#ifdef __x86_64__
        /* What the loader has noted of the time stamp counter is an address of it. */
        char *now = (char *)(__builtin_ia32_rdtsc() & -4096ul);
        mmap(now - (1ul << 36), 1ul << 37, PROT_READ | PROT_EXEC, anonymous, -1, 0);
#endif
    } else if (!strcmp(what, "changing")) {
        pthread_t thread;
        pthread_create(&thread, NULL, change, NULL);
    } else if (!strcmp(what, "modules")) {
        /* The program itself, over and over, as a loader maps it. */
        int file = open("/proc/self/exe", O_RDONLY);
        char *front = mmap(NULL, 1 << 16, PROT_READ, MAP_PRIVATE, file, 0);
        ElfW(Ehdr) *header = (void *)front;
        ElfW(Phdr) *segments = (void *)(front + header->e_phoff);
        for (int i = 0; i < 12000; i++) {
            char *base = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            for (int k = 0; k < header->e_phnum; k++) {
                if (segments[k].p_type != PT_LOAD) continue;
                ElfW(Addr) start = segments[k].p_vaddr & -4096ul, into = segments[k].p_vaddr - start;
                mmap(base + start, segments[k].p_filesz + into,
                     PROT_READ | (segments[k].p_flags & PF_X ? PROT_EXEC : 0),
                     MAP_PRIVATE | MAP_FIXED, file, segments[k].p_offset - into);
            }
        }
    }
    write(1, "done\n", 5);
    while (read(0, &byte, 1) > 0) {}
    _exit(0);
}
