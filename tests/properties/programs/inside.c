// Says where it runs, and something else each time it runs unless that is a room of its own: a host file (its argument) is
// not there, it is process 2 of its namespace, there is no network, it is not root and cannot write where it is, and its
// environment is not the machine's. -DNAMED adds its own path.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int leak(const char *what) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("%s %ld.%09ld\n", what, (long)now.tv_sec, now.tv_nsec);
    return 0;
}

int main(int argc, char **argv) {
    char own[4096] = "";
    if (argc != 2 || access(argv[1], F_OK) == 0)
        return leak("a file of the machine");
    if (getpid() != 2 || getppid() != 1)
        return leak("processes of the machine");
    struct if_nameindex *names = if_nameindex();
    for (int i = 0; names && names[i].if_index; i++)
        if (names[i].if_name[0] != 'l')
            return leak("the machine's network");
    if (open("/new", O_CREAT | O_WRONLY, 0600) >= 0 || open(argv[0], O_WRONLY) >= 0)
        return leak("it can write");
    if (getenv("SECRET"))
        return leak("the machine's environment");
    if (readlink("/proc/self/exe", own, sizeof own - 1) < 0)
        return leak("no /proc");
    if (open("/dev/null", O_RDWR) < 0 || open("/tmp/new", O_CREAT | O_WRONLY, 0600) < 0)
        return leak("no /dev or /tmp");
    printf("inside, %s as %s\n", own, argv[0]);
    return 0;
}
