// Threads that open and close plugins, while others make processes that open them, too.
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char **names;
static int number;

static void once(int i) {
    void *handle = dlopen(names[i % number], RTLD_NOW);
    if (!handle) {
        puts(dlerror());
        _exit(1);
    }
    int (*value)(void) = (int (*)(void))dlsym(handle, "plugin_value");
    if (!value || value() != 23)
        _exit(2);
    dlclose(handle);
}

static void *run(void *argument) {
    for (int i = 0; i < 100; i++)
        once(i + (int)(long)argument);
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t threads[4];
    names = argv + 1;
    number = argc - 1;
    for (long i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, run, (void *)i);
    for (int i = 0; i < 10; i++) {
        pid_t child = fork();
        if (!child)
            _exit(0);
        int status;
        waitpid(child, &status, 0);
        if (status)
            return 3;
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    pid_t child = fork();
    if (!child) {
        once(0);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    puts(status ? "a child failed" : "all opened");
    return status != 0;
}
