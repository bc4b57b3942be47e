/* A variable and thread-local variables of a library, functions of several versions, a function's
   address taken; waits for the end of its input. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern int shared_variable;
extern __thread int thread_variable;
extern int old_answer(void), new_answer(void), weak_nowhere(void) __attribute__((weak));
extern int (*library_view(void))(void);
__asm__(".symver old_answer, answer@V1");
__asm__(".symver new_answer, answer@V2");

static int (*volatile address)(void) = new_answer;

int main(void) {
    char byte;
    int found = old_answer() * 100 + address() * 10 + shared_variable + thread_variable;
    if (found != 123 + 4 || weak_nowhere != 0 || !library_view()) return 1;
    qsort(&byte, 0, 1, NULL);
    puts("done");
    fflush(stdout);
    while (read(0, &byte, 1) > 0) {}
    return 0;
}
