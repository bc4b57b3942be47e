// Says one word. With -DVALUE it uses a library's variable, too.
#include <stdio.h>

#ifdef VALUE
extern int value;
#else
static int value = 1;
#endif

int main(void) {
    puts("plain");
    return value - 1;
}
