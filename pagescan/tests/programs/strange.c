/* Has memory of the kinds that its arguments name, says so, and waits until standard input ends. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096 };

static char *map(size_t len, int flags, int file)
{
    char *at = mmap(0, len, PROT_READ | PROT_WRITE, flags, file, 0);
    if (at == MAP_FAILED) {
        perror("mmap");
        exit(9);
    }
    return at;
}

/* Pages each of which holds something else than all others, or the same as all. */
static void fill(char *at, long pages, long first, int are_equal)
{
    for (long i = 0; i < pages; i++)
        for (int k = 0; k < 512; k++)
            ((uint64_t *)(at + i * PAGE))[k] = (first + (are_equal ? 0 : i)) * 0x9e3779b97f4a7c15u + k;
}

static void make(const char *kind)
{
    int private = MAP_PRIVATE | MAP_ANONYMOUS;
    if (!strcmp(kind, "sparse")) {
        /* As address sanitizers have it: 16 TiB, and 32 pages in it. */
        char *at = map(16ul << 40, private | MAP_NORESERVE, -1);
        madvise(at, 16ul << 40, MADV_NOHUGEPAGE);
        for (long i = 0; i < 32; i++)
            fill(at + i * (1ul << 38), 1, 77000 + i, 0);
    } else if (!strcmp(kind, "many")) {
        /* As many mappings as the kernel allows, but for a few that the end of the program needs. */
        char *at = map(130000ul * PAGE, private, -1);
        for (long i = 0; i < 64000; i += 2)
            if (mprotect(at + i * PAGE, PAGE, PROT_READ))
                break;
        at[PAGE] = 1;
    } else if (!strcmp(kind, "uffd")) {
        /* Whoever touches an absent page of it waits for ever: nobody serves it. */
        int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
        struct uffdio_api api = { .api = UFFD_API };
        char *at = map(64 * PAGE, private, -1);
        fill(at, 8, 88000, 0);
        struct uffdio_register range = { .range = { (uintptr_t)at, 64 * PAGE }, .mode = UFFDIO_REGISTER_MODE_MISSING };
        if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &range))
            perror("userfaultfd");
    } else if (!strcmp(kind, "cut")) {
        /* A file that became shorter: who touches what is behind its end gets SIGBUS. */
        int file = memfd_create("cut", 0);
        if (ftruncate(file, 64 * PAGE))
            exit(9);
        fill(map(64 * PAGE, MAP_SHARED, file), 64, 99000, 0);
        if (ftruncate(file, 3 * PAGE))
            exit(9);
    } else if (!strcmp(kind, "merged")) {
        /* For KSM: equal pages. */
        if (prctl(67 /* PR_SET_MEMORY_MERGE */, 1, 0, 0, 0))
            exit(9);
        char *at = map(1024 * PAGE, private, -1);
        madvise(at, 1024 * PAGE, MADV_NOHUGEPAGE);
        fill(at, 1024, 55000, 1);
    } else if (!strcmp(kind, "forked")) {
        char *at = map(1024 * PAGE, private, -1);
        madvise(at, 1024 * PAGE, MADV_NOHUGEPAGE);
        fill(at, 1024, 66000, 0);
        if (!fork()) {
            char byte;
            while (read(0, &byte, 1) > 0) {}
            _exit(0);
        }
    } else if (!strcmp(kind, "name")) {
        prctl(PR_SET_NAME, "<a>&\"\n\033[31m\xff,'");
        int file = memfd_create("\033[2J<b>&\"\xff\n,'", 0);
        if (ftruncate(file, 4 * PAGE))
            exit(9);
        fill(map(4 * PAGE, MAP_SHARED, file), 4, 44000, 1);
    } else {
        exit(9);
    }
}

int main(int count, char **kinds)
{
    for (int i = 1; i < count; i++)
        make(kinds[i]);
    puts("ready");
    fflush(stdout);
    char byte;
    while (read(0, &byte, 1) > 0) {}
    return 0;
}
