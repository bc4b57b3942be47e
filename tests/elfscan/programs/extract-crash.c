/* Dies in the C library, which was called back from it: main, sort, qsort, compare, strlen. */
#include <stdlib.h>
#include <string.h>

__attribute__((noinline)) int compare(const void *a, const void *b)
{
    (void)b;
    return (int)strlen(*(char *const *)a) + 1;
}

__attribute__((noinline)) int sort(char **strings)
{
    qsort(strings, 2, sizeof *strings, compare);
    return strings[0] != 0;
}

int main(void)
{
    char *strings[2] = {0, 0};
    return sort(strings) + 1;
}
