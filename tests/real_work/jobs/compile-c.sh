#: Tools: gcc cc1@gcc collect2@gcc lto-wrapper@gcc lto1@gcc as ld ar strip
# Every program that takes part in a compilation is converted.
# A gcc that is called from another directory looks for its files beside that one.
export GCC_EXEC_PREFIX="$(dirname "$(dirname "$(dirname "$(/usr/bin/gcc -print-libgcc-file-name)")")")/"
cat > main.c <<'C'
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int twice(int);

static void *work(void *argument) {
    *(double *)argument = sqrt(*(double *)argument);
    return NULL;
}

static int order(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(int argc, char **argv) {
    double value = 1764;
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, &value) || pthread_join(thread, NULL)) return 1;
    qsort(argv + 1, argc - 1, sizeof *argv, order);
    for (int i = 1; i < argc; i++) puts(argv[i]);
    printf("%g %d\n", value, twice(21));
    return 0;
}
C
echo 'int twice(int n) { return 2 * n; }' > twice.c
for flags in -O0 '-O2 -g' '-O3 -march=haswell -flto -ffat-lto-objects' '-O2 -static'; do
    gcc -B"$BIN/" $flags -Wall -c twice.c -o twice.o
    rm -f libtwice.a
    ar rcsD libtwice.a twice.o
    gcc -B"$BIN/" $flags -Wall main.c -L. -ltwice -lm -pthread -o main
    echo "== $flags"
    sha256sum main
    ./main pear apple fig
    strip main -o stripped
    ./stripped
done
gcc -B"$BIN/" -O2 -S main.c -o - | sha256sum
echo 'int broken(' | gcc -B"$BIN/" -xc -c - -o broken.o 2>&1 || echo "refused: $?"
