/* Memory of every kind, for snapshots to find. Says where each is ("NAME ADDRESS PAGES"), "child PID", then "ready"; ends when its
   input does. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <signal.h>

#define PAGE 4096

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void *map(size_t pages, int flags, int fd)
{
    int shared = flags & MAP_SHARED ? 0 : MAP_PRIVATE;
    void *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, flags | shared, fd, 0);
    if (p == MAP_FAILED)
        fail("mmap");
    if (fd < 0)
        madvise(p, pages * PAGE, MADV_NOHUGEPAGE);
    return p;
}

/* Page contents that nothing else has: `kind` and the number repeated. */
static void fill(void *at, uint64_t kind, uint64_t number)
{
    uint64_t *word = at;
    for (size_t i = 0; i < PAGE / 8; i++)
        word[i] = kind << 32 | number;
}

static void say(const char *name, void *at, size_t pages)
{
    printf("%s %lx %zu\n", name, (unsigned long)at, pages);
}

static void *area(const char *name, size_t pages, uint64_t kind, int is_equal)
{
    char *p = map(pages, MAP_ANONYMOUS, -1);
    for (size_t i = 0; i < pages; i++)
        fill(p + i * PAGE, kind, is_equal ? 0 : i);
    say(name, p, pages);
    return p;
}

static int file(const char *path, size_t pages, uint64_t kind)
{
    static char page[PAGE];
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        fail(path);
    for (size_t i = 0; i < pages; i++) {
        fill(page, kind, i);
        if (write(fd, page, PAGE) != PAGE)
            fail(path);
    }
    return fd;
}

static void touch(char *p, size_t pages)
{
    for (size_t i = 0; i < pages; i++)
        (void)*(volatile char *)(p + i * PAGE);
}

int main(int argc, char **argv)
{
    if (argc < 2 || chdir(argv[1]))
        fail("a directory is wanted");
    area("equal", 300, 1, 1);
    area("unique", 64, 2, 0);
    char *unwritten = map(8, MAP_ANONYMOUS, -1);
    touch(unwritten, 8);
    say("zeros-read", unwritten, 8);
    char *written = map(8, MAP_ANONYMOUS, -1);
    memset(written, 0, 8 * PAGE);
    say("zeros-written", written, 8);
    say("absent", map(8, MAP_ANONYMOUS, -1), 8);
    area("forked", 32, 3, 0);
    char *first = map(16, 0, file("first", 16, 4)), *second = map(16, 0, file("second", 16, 4));
    touch(first, 16);
    touch(second, 16);
    say("first", first, 16);
    say("second", second, 16);
    int fd = file("twice", 16, 5);
    char *once = map(16, 0, fd), *again = map(16, 0, fd);
    touch(once, 16);
    touch(again, 16);
    say("once", once, 16);
    say("again", again, 16);
    int copied_fd = file("copied", 16, 6);
    char *copied = map(16, 0, copied_fd);
    for (size_t i = 0; i < 16; i++)
        fill(copied + i * PAGE, 7, i);
    say("copied", copied, 16);
    int memory = memfd_create("planted", 0);
    if (memory < 0 || ftruncate(memory, 16 * PAGE))
        fail("memfd_create");
    char *shared = map(16, MAP_SHARED, memory);
    for (size_t i = 0; i < 16; i++)
        fill(shared + i * PAGE, 8, i);
    say("memfd", shared, 16);
    char *huge = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    huge = (char *)(((uintptr_t)huge + (2 << 20) - 1) & ~(uintptr_t)((2 << 20) - 1));
    if (!madvise(huge, 2 << 20, MADV_HUGEPAGE)) {
        for (size_t i = 0; i < 512; i++)
            fill(huge + i * PAGE, 9, i);
        say("huge", huge, 512);
    }
    char *none = area("none", 8, 10, 0);
    if (mprotect(none, 8 * PAGE, PROT_NONE))
        fail("mprotect");
    char *undumped = area("undumped", 8, 11, 0);
    madvise(undumped, 8 * PAGE, MADV_DONTDUMP);
#ifdef SYS_memfd_secret
    int secret = syscall(SYS_memfd_secret, 0);
    if (secret >= 0 && !ftruncate(secret, 4 * PAGE)) {
        char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, secret, 0);
        if (p != MAP_FAILED) {
            for (size_t i = 0; i < 4; i++)
                fill(p + i * PAGE, 12, i);
            say("secret", p, 4);
        }
    }
#endif
    int end[2], begun[2];
    if (pipe(end) || pipe(begun))
        fail("pipe");
    fflush(stdout);
    int child = fork();
    char byte;
    if (child == 0) {
        /* It ends with its parent, whatever becomes of it. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(end[1]);
        if (write(begun[1], "", 1) != 1)
            _exit(1);
        while (read(end[0], &byte, 1) > 0)
            ;
        _exit(0);
    }
    if (read(begun[0], &byte, 1) != 1)
        fail("fork");
    printf("child %d\nready\n", child);
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
        ;
    return 0;
}
