// Prints what glibc's variables for malloc and for the CPU change.
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *work(void *unused) {
    (void)unused;
    return malloc(1000);
}

int main(void) {
    // Bit 1 of the word in front of a block: it is a mapping of its own.
    size_t *large = malloc(200000);
    printf("a large block is mapped: %d\n", (int)(large[-1] & 2) != 0);
    unsigned char *fresh = malloc(5000);
    printf("a fresh block has %02x\n", fresh[2000]);
    pthread_t threads[6];
    for (int i = 0; i < 6; i++) pthread_create(threads + i, 0, work, 0);
    for (int i = 0; i < 6; i++) pthread_join(threads[i], 0);
    char *text;
    size_t len;
    int heaps = 0;
    FILE *file = open_memstream(&text, &len);
    malloc_info(0, file);
    fclose(file);
    for (char *at = text; (at = strstr(at, "<heap nr")); at++) heaps++;
    printf("more than one arena: %d\n", heaps > 1);
    // Which of its variants an IFUNC has chosen.
    size_t (*volatile measure)(const char *) = strlen;
    printf("strlen is %ld from puts\n", (long)((char *)measure - (char *)puts));
    return 0;
}
