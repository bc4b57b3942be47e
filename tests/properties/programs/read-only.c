// Checks that the file system it lies on cannot be written to.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

int main(void) {
    if (open("new", O_CREAT | O_WRONLY, 0600) >= 0 || errno != EROFS)
        return 1;
    puts("read-only");
    return 0;
}
