// Allocates, starts a thread that calls qsort, and ends well if all of it worked. With -DVIOLATE it has, for a moment, a
// page that is writable and executable.
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

static int order(const void *a, const void *b) {
    return *(const int *)a - *(const int *)b;
}

static void *sort(void *numbers) {
    qsort(numbers, 1000, sizeof(int), order);
    return numbers;
}

int main(void) {
    pthread_t thread;
#ifdef VIOLATE
    munmap(mmap(NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096);
#endif
    int *numbers = malloc(1000 * sizeof *numbers);
    for (int i = 0; i < 1000; i++)
        numbers[i] = (i * 7919) % 1000;
    if (pthread_create(&thread, NULL, sort, numbers) || pthread_join(thread, NULL))
        return 1;
    for (int i = 0; i < 1000; i++)
        if (numbers[i] != i)
            return 2;
    free(numbers);
    return 0;
}
