// A thread ends by pthread_exit, which runs its cleanup handlers by unwinding its stack.
#include <pthread.h>
#include <stdio.h>

static void clean(void *argument) {
    puts("cleaned");
}

static void *run(void *argument) {
    pthread_cleanup_push(clean, NULL);
    pthread_exit(argument);
    pthread_cleanup_pop(0);
    return NULL;
}

int main(void) {
    pthread_t thread;
    void *result;
    if (pthread_create(&thread, NULL, run, "ended") || pthread_join(thread, &result))
        return 1;
    puts(result);
    return 0;
}
