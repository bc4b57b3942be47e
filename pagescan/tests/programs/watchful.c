/* A program that looks at itself all the time: by its first argument, what it does. It says "ready" when it does, ends with
 * status 0 and its count on SIGTERM, and with status 3 and a sentence if something of it is not as it left it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <immintrin.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t over;
static volatile long count;

static void end(int signal) { (void)signal; over = 1; }

static void wrong(const char *what, long value) {
    printf("%s: %ld\n", what, value);
    fflush(stdout);
    _exit(3);
}

/* Its locals are below the stack pointer. */
__attribute__((noinline)) static long leaf(long n) {
    volatile long a = n, b = n + 1, c = n + 2, d = n + 3, e = n + 4, f = n + 5;
    for (int i = 0; i < 20000; i++) {
        if (a != n || b != n + 1 || c != n + 2 || d != n + 3 || e != n + 4 || f != n + 5) return 1;
        a = a;
    }
    return 0;
}

static void *leaves(void *argument) {
    for (long i = (long)argument; !over; i++, count++)
        if (leaf(i)) wrong("a red zone was written to", i);
    return 0;
}

/* All registers, the carry flag and the vectors, while a loop runs that changes none of them. */
__attribute__((target("avx"))) static void registers(void) {
    static uint8_t in[8][32], out[8][32];
    for (int i = 0; i < 8; i++) memset(in[i], 0x11 * (i + 1), 32);
    while (!over) {
        uint64_t sum = 0, carry = 0;
        long double before = 3.25L, after = 0;
        memset(out, 0, sizeof out);
        __asm__ volatile(
            "fldt %[before]\n"
            "vmovdqu (%[in]), %%ymm0\n vmovdqu 32(%[in]), %%ymm1\n vmovdqu 64(%[in]), %%ymm2\n vmovdqu 96(%[in]), %%ymm3\n"
            "vmovdqu 128(%[in]), %%ymm12\n vmovdqu 160(%[in]), %%ymm13\n vmovdqu 192(%[in]), %%ymm14\n vmovdqu 224(%[in]), %%ymm15\n"
            "mov $1, %%rax\n mov $2, %%rbx\n mov $4, %%rdx\n mov $8, %%r8\n mov $16, %%r9\n mov $32, %%r10\n mov $64, %%r11\n"
            "mov $128, %%r12\n mov $256, %%r13\n mov $512, %%r14\n mov $1024, %%r15\n"
            "mov $200000, %%ecx\n stc\n"
            "1: loop 1b\n"
            "setc %b[carry]\n"
            "add %%rbx, %%rax\n add %%rdx, %%rax\n add %%r8, %%rax\n add %%r9, %%rax\n add %%r10, %%rax\n add %%r11, %%rax\n"
            "add %%r12, %%rax\n add %%r13, %%rax\n add %%r14, %%rax\n add %%r15, %%rax\n"
            "mov %%rax, %[sum]\n"
            "vmovdqu %%ymm0, (%[out])\n vmovdqu %%ymm1, 32(%[out])\n vmovdqu %%ymm2, 64(%[out])\n vmovdqu %%ymm3, 96(%[out])\n"
            "vmovdqu %%ymm12, 128(%[out])\n vmovdqu %%ymm13, 160(%[out])\n vmovdqu %%ymm14, 192(%[out])\n vmovdqu %%ymm15, 224(%[out])\n"
            "fstpt %[after]\n"
            : [sum] "=m"(sum), [carry] "+m"(carry), [after] "=m"(after)
            : [in] "S"(in), [out] "D"(out), [before] "m"(before)
            : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc", "memory", "xmm0", "xmm1",
              "xmm2", "xmm3", "xmm12", "xmm13", "xmm14", "xmm15");
        if (sum != 2047) wrong("a register was changed", sum);
        if (carry != 1) wrong("a flag was changed", carry);
        if (after != before) wrong("an x87 register was changed", 0);
        if (memcmp(in, out, sizeof in)) wrong("a vector was changed", 0);
        count++;
    }
}

static long microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* One system call that waits, over and over. What answers EINTR without a signal, or too early, is wrong. */
static long waits(const char *kind) {
    static int pipes[2], epoll, queue, sockets[2], word;
    static sigset_t set;
    if (!epoll) {
        struct epoll_event event = {.events = EPOLLIN};
        struct timeval limit = {.tv_usec = 30000};
        if (pipe(pipes) || socketpair(AF_UNIX, SOCK_STREAM, 0, sockets)) wrong("pipe", errno);
        epoll = epoll_create1(0);
        epoll_ctl(epoll, EPOLL_CTL_ADD, pipes[0], &event);
        setsockopt(sockets[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        queue = msgget(IPC_PRIVATE, 0600);
        sigemptyset(&set);
        sigaddset(&set, SIGUSR2);
        sigprocmask(SIG_BLOCK, &set, 0);
    }
    struct timespec some = {.tv_nsec = 30000000};
    struct timeval brief = {.tv_usec = 30000};
    struct epoll_event event;
    struct pollfd poller = {.fd = pipes[0], .events = POLLIN};
    struct { long type; char text[8]; } message;
    char byte;
    fd_set files;
    FD_ZERO(&files);
    FD_SET(pipes[0], &files);
    errno = 0;
    if (!strcmp(kind, "epoll_wait")) return epoll_wait(epoll, &event, 1, 30);
    if (!strcmp(kind, "epoll_forever")) return epoll_wait(epoll, &event, 1, -1);
    if (!strcmp(kind, "epoll_pwait")) return epoll_pwait(epoll, &event, 1, 30, &set);
    if (!strcmp(kind, "poll")) return poll(&poller, 1, 30);
    if (!strcmp(kind, "ppoll")) return ppoll(&poller, 1, &some, &set);
    if (!strcmp(kind, "select")) return select(pipes[0] + 1, &files, 0, 0, &brief);
    if (!strcmp(kind, "nanosleep")) return nanosleep(&some, 0);
    if (!strcmp(kind, "clock_nanosleep")) return clock_nanosleep(CLOCK_REALTIME, 0, &some, 0) ? -1 : 0;
    if (!strcmp(kind, "futex")) {
        long done = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &some, 0, 0);
        return done < 0 && errno == ETIMEDOUT ? 0 : done;
    }
    if (!strcmp(kind, "sigtimedwait")) {
        int signal = sigtimedwait(&set, 0, &some);
        return signal < 0 && errno == EAGAIN ? 0 : signal;
    }
    if (!strcmp(kind, "recv")) {
        long done = recv(sockets[0], &byte, 1, 0);
        return done < 0 && errno == EAGAIN ? 0 : done;
    }
    if (!strcmp(kind, "read_forever")) return read(pipes[0], &byte, 1);
    if (!strcmp(kind, "msgrcv_forever")) return msgrcv(queue, &message, 8, 0, 0);
    if (!strcmp(kind, "pause_forever")) return pause();
    if (!strcmp(kind, "sigsuspend_forever")) return sigsuspend(&set);
    wrong("unknown", 0);
    return -1;
}

static void wait_often(const char *kind) {
    int forever = strstr(kind, "forever") != 0;
    while (!over) {
        long begun = microseconds();
        long done = waits(kind);
        if (over) break;
        if (done != 0) wrong(kind, errno);
        if (forever) wrong("it ended by itself", done);
        if (microseconds() - begun < 29000) wrong("it ended too early", microseconds() - begun);
        count++;
    }
}

static volatile double scribble;
static void counted(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    static int next;
    if (info->si_value.sival_int != next++) wrong("a signal is missing before", info->si_value.sival_int);
    scribble = scribble * 1.5 + 1;
    count++;
}

static void signals(int in_call) {
    struct sigaction action = {.sa_sigaction = counted, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGRTMIN + 3, &action, 0);
    printf("ready\n");
    fflush(stdout);
    double sum = 0;
    while (!over) {
        if (in_call) {
            struct timespec some = {.tv_nsec = 100000};
            nanosleep(&some, 0);
            continue;
        }
        if (leaf(count)) wrong("a red zone was written to", 0);
        double now = 0;
        for (int i = 1; i < 1000; i++) now += 1.0 / i;
        if (sum != 0 && sum != now) wrong("a sum is another", 0);
        sum = now;
    }
}

/* Restartable sequences that last: one that spans a whole switch, told by the file's word before and after, must have begun
 * anew. */
static void sequences(const char *path) {
    extern const ptrdiff_t __rseq_offset;
    int file = open(path, O_RDONLY);
    volatile uint64_t *epoch = mmap(0, 4096, PROT_READ, MAP_SHARED, file, 0);
    if (epoch == MAP_FAILED) wrong("mmap", errno);
    char *area = (char *)__builtin_thread_pointer() + __rseq_offset;
    while (!over) {
        uint64_t first = 0, last = 0, again = 0;
        __asm__ volatile(
            ".pushsection __rseq_cs, \"aw\"\n .balign 32\n"
            "3: .long 0, 0\n .quad 1f, (2f - 1f), 4f\n .popsection\n"
            "lea 3b(%%rip), %%rax\n mov %%rax, 8(%[area])\n"
            "1: mov (%[epoch]), %[first]\n"
            "mov $2000000, %%ecx\n"
            "5: loop 5b\n"
            "mov (%[epoch]), %[last]\n"
            "2: jmp 6f\n"
            ".long 0x53053053\n"
            "4: mov $1, %[again]\n"
            "6:\n"
            : [first] "=&r"(first), [last] "=&r"(last), [again] "+&r"(again)
            : [area] "r"(area), [epoch] "r"(epoch)
            : "rax", "rcx", "memory");
        *(volatile uint64_t *)(area + 8) = 0;
        if (again) { count++; continue; }
        /* Even: nothing is under way. Odd: a switch is. */
        uint64_t whole = (first + 1) / 2 * 2 + 2;
        if (last >= whole) wrong("a sequence went on after a switch", last - first);
    }
}

static void filtered(void) {
    struct sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {.len = 1, .filter = allow};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        wrong("seccomp", errno);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    const char *more = argc > 2 ? argv[2] : "";
    struct sigaction action = {.sa_handler = end};
    sigaction(SIGTERM, &action, 0);
    if (!strcmp(what, "signals")) {
        signals(!strcmp(more, "call"));
    } else {
        if (!strcmp(what, "filtered")) filtered();
        printf("ready\n");
        fflush(stdout);
        if (!strcmp(what, "leaf")) leaves(0);
        if (!strcmp(what, "threads")) {
            pthread_t threads[16];
            for (long i = 0; i < 16; i++) pthread_create(&threads[i], 0, leaves, (void *)i);
            leaves(0);
            for (int i = 0; i < 16; i++) pthread_join(threads[i], 0);
        }
        if (!strcmp(what, "registers")) registers();
        if (!strcmp(what, "wait")) wait_often(more);
        if (!strcmp(what, "sequences")) sequences(more);
        if (!strcmp(what, "filtered") || !strcmp(what, "sleep"))
            while (!over) pause();
    }
    printf("%ld\n", count);
    return 0;
}
