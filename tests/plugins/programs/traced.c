// Opens one plugin by itself, one in a child, one in a thread; executes another program, too. Ends
// with status 7.
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void *open_it(void *name) {
    return dlopen(name, RTLD_NOW);
}

int main(int argc, char **argv) {
    pthread_t thread;
    if (argc != 4)
        return 2;
    if (!open_it(argv[1]))
        return 3;
    pid_t child = fork();
    if (!child)
        _exit(open_it(argv[2]) == NULL);
    int status;
    waitpid(child, &status, 0);
    if (status)
        return 4;
    pthread_create(&thread, NULL, open_it, argv[3]);
    pthread_join(thread, NULL);
    if (system("exit 5") >> 8 != 5)
        return 6;
    return 7;
}
