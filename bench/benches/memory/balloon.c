/* A guest's only program: fills the memory that the kernel's parameter `balloon` says (MiB) with what it is told. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

int main(void) {
    const char *size = getenv("balloon");
    size_t pages = (size ? strtoul(size, 0, 10) : 1) * 256;
    char *memory = mmap(0, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char line[64];
    setvbuf(stdout, 0, _IOLBF, 0);
    if (memory == MAP_FAILED)
        return 1;
    puts("balloon ready");
    while (fgets(line, sizeof line, stdin)) {
        uint64_t seed = strtoul(line, 0, 10);
        for (size_t page = 0; page < pages; page++) {
            uint64_t x = (seed << 32 | page) * 0x9e3779b97f4a7c15u + 1;
            uint64_t *words = (uint64_t *)(memory + page * 4096);
            for (int i = 0; i < 512; i++)
                words[i] = x = x * 6364136223846793005u + 1442695040888963407u;
        }
        printf("balloon holds %lu\n", (unsigned long)seed);
    }
    return 0;
}
