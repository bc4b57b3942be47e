// An IFUNC resolver that crashes if it can open the file -DHOST, which is this machine's, or -DHOST from the root of a
// process that it finds in /proc. It calls the kernel itself, since libc may not be relocated yet.
#include <fcntl.h>
#include <sys/syscall.h>

static inline long try_open(const char *path) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(SYS_open), "D"(path), "S"(O_RDONLY), "d"(0) : "rcx", "r11", "memory");
    return result;
}

static int answer(void) {
    return 42;
}

static void *resolve(void) {
    if (try_open(HOST) >= 0 || try_open("/../../../../../../.." HOST) >= 0 || try_open("/proc/1/root" HOST) >= 0 ||
        try_open("/proc/self/status") >= 0)
        __builtin_trap();
    return answer;
}

int value(void) __attribute__((ifunc("resolve")));

int main(void) {
    return value() - 42;
}
