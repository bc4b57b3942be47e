/* Spends its time in the C library. */
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(void)
{
    static char text[20000][16];
    static char *strings[20000];
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < 20000; i++) {
            memset(text[i], 'a', 12);
            text[i][13] = (char)(i * 7919 % 100 + 1);
            text[i][12] = (char)(i * 104729 % 100 + 1);
            strings[i] = text[i];
        }
        qsort(strings, 20000, sizeof *strings, compare);
    }
    return strings[0] == 0;
}
