// Checks that there is nothing in this root but the program, and that it works all the same.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void *work(void *unused) {
    (void)unused;
    return malloc(1 << 20);
}

int main(void) {
    pthread_t thread;
    void *memory = NULL;
    if (access("/proc", F_OK) == 0 || access("/dev", F_OK) == 0 || access("/lib", F_OK) == 0)
        return 1;
    if (pthread_create(&thread, NULL, work, NULL) || pthread_join(thread, &memory) || !memory)
        return 2;
    puts("alone");
    return 0;
}
