// Checks that it is not run by root.
#include <stdio.h>
#include <unistd.h>

int main(void) {
    if (getuid() == 0 || geteuid() == 0 || getgid() == 0)
        return 1;
    puts("unprivileged");
    return 0;
}
