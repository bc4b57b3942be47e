#: Tools: gdb
# The debugger is converted; what it debugs is built here.
cat > program.c <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct point { int x, y; };
static int inner(struct point *p, const char *name) {
    int sum = p->x + p->y;
    printf("%s %d\n", name, sum);
    return sum;
}
int main(int argc, char **argv) {
    struct point point = { 3, 4 };
    int result = inner(&point, "seven");
    char *copy = strdup(argc > 1 ? argv[1] : "none");
    puts(copy);
    free(copy);
    return result;
}
C
cc -g -O0 program.c -o program
set -- -q -batch -nx -iex 'set debuginfod enabled off' -iex 'set auto-load safe-path /'
gdb "$@" -ex 'break main' -ex run -ex bt -ex 'info locals' -ex 'break inner' -ex continue -ex bt -ex finish \
    -ex 'print point' -ex 'ptype point' -ex next -ex 'info source' -ex 'info args' -ex continue --args ./program word 2>&1 |
    sed -E 's/\(process [0-9]+\)/(process N)/; s/0x[0-9a-f]{6,}/ADDRESS/g'
gdb "$@" -ex 'info line inner' -ex 'disassemble inner' -ex 'info functions inner' -ex 'list 5,8' ./program
gdb "$@" -ex 'python print(gdb.parse_and_eval("1+2") * 14)' -ex 'python print(gdb.VERSION)'
gdb "$@" -ex 'break inner if p->x == 3' -ex run -ex 'watch p->x' -ex 'set var p->x = 10' -ex continue \
    -ex 'info threads' ./program 2>&1 | sed -E 's/\(process [0-9]+\)/(process N)/; s/0x[0-9a-f]{6,}/ADDRESS/g; s/LWP [0-9]+/LWP N/'
