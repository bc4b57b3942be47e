// To be made set-user-ID: executes its arguments with its privileges, as they are.
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc > 1)
        execv(argv[1], argv + 1);
    return 120;
}
