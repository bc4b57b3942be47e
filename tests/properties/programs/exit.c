// Ends with 0 if it is given the arguments "two words" and "", and kills itself otherwise.
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    if (argc != 3 || strcmp(argv[1], "two words") || *argv[2])
        abort();
    return 0;
}
