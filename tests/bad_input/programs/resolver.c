// An IFUNC resolver that does what a loader must not do. It calls the kernel itself, since libc may not be relocated yet.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static inline long call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

// More words than a report tells.
unsigned long disguised[70];

static int answer(void) {
    return 42;
}

static void *resolve(void) {
    long self = call(SYS_getpid, 0, 0, 0);
    (void)self;
#if defined SPIN
    for (;;)
        ;
#elif defined SLEEP
    for (;;)
        call(SYS_pause, 0, 0, 0);
#elif defined STOP
    call(SYS_kill, self, SIGSTOP, 0);
#elif defined KILL
    call(SYS_kill, self, SIGKILL, 0);
#elif defined CRASH
    *(volatile int *)8 = 1;
#elif defined EXIT
    call(SYS_exit_group, 0, 0, 0);
#elif defined FORK
    if (call(SYS_fork, 0, 0, 0) == 0)
        for (;;)
            call(SYS_pause, 0, 0, 0);
#elif defined THREAD
    if (call(SYS_clone, CLONE_VM | CLONE_UNTRACED, 0, 0) == 0)
        for (;;)
            call(SYS_pause, 0, 0, 0);
#elif defined EXEC
    char *const arguments[] = {"/bin/true", 0};
    call(SYS_execve, (long)arguments[0], (long)arguments, 0);
#elif defined SOCKET
    call(SYS_socket, AF_INET, SOCK_STREAM, 0);
#elif defined CREATE
    call(SYS_open, (long)"created", O_CREAT | O_WRONLY, 0600);
#elif defined FIFO
    // mmap(0, 4096, PROT_READ, MAP_PRIVATE, the FIFO, 0)
    register long flags __asm__("r10") = 2, fifo __asm__("r8") = call(SYS_open, (long)"fifo", O_RDONLY | O_NONBLOCK, 0);
    register long offset __asm__("r9") = 0;
    long number = SYS_mmap;
    __asm__ volatile("syscall" : "+a"(number) : "D"(0), "S"(4096), "d"(1), "r"(flags), "r"(fifo), "r"(offset) : "rcx", "r11", "memory");
#elif defined OPEN
    call(SYS_open, (long)"/etc/passwd", O_RDONLY, 0);
#elif defined OPEN_AT
    call(SYS_openat, AT_FDCWD, (long)"/etc/passwd", O_RDONLY);
#elif defined OPEN_AT_2
    long how[3] = {O_RDONLY, 0, 0};
    if (call(437, AT_FDCWD, (long)"/etc/passwd", (long)how) < 0)
        call(SYS_kill, self, SIGKILL, 0);
#elif defined LOOK
    char state[256];
    call(SYS_stat, (long)"/etc/passwd", (long)state, 0);
#elif defined READ_LINK
    char target[256];
    call(SYS_readlink, (long)"/proc/self/cwd", (long)target, sizeof target);
#elif defined RING
    char parameters[256] = {0};
    if (call(425, 4, (long)parameters, 0) < 0)
        call(SYS_kill, self, SIGKILL, 0);
#elif defined DISGUISE
    for (int i = 0; i < 70; i++)
        ((volatile unsigned long *)disguised)[i] = ~(unsigned long)&disguised[i];
#elif defined REMOVE
    call(SYS_unlink, (long)"program", 0, 0);
#endif
    return answer;
}

int value(void) __attribute__((ifunc("resolve")));

int main(void) {
    return value() - 42;
}
