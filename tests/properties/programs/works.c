// Uses what the loader prepares: thread-local storage, threads, memory, the clock, the environment.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static __thread int local = 1;

static void *work(void *value) {
    local += *(int *)value;
    return malloc(1 << 10) ? &local : NULL;
}

int main(void) {
    int value = 2;
    pthread_t thread;
    pthread_attr_t attributes;
    struct timespec now;
    // Little, so that limits that are tested leave room for it.
    if (pthread_attr_init(&attributes) || pthread_attr_setstacksize(&attributes, 64 << 10))
        return 2;
    if (pthread_create(&thread, &attributes, work, &value) || pthread_join(thread, NULL))
        return 3;
    if (local != 1 || clock_gettime(CLOCK_MONOTONIC, &now) || now.tv_sec < 0)
        return 4;
    char *memory = malloc(100 << 10);
    if (!memory || !getenv("PATH"))
        return 5;
    memset(memory, 1, 100 << 10);
    free(memory);
#ifdef _SC_MINSIGSTKSZ
    // A signal's frame with nothing but SSE in it takes more than this; with AVX it is about 1,800 bytes.
    if (sysconf(_SC_MINSIGSTKSZ) < 1024)
        return 6;
#endif
    puts("works");
    return 0;
}
