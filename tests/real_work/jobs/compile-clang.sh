#: Tools: clang
# One program with LLVM as a library of a hundred megabytes.
cat > main.c <<'C'
#include <stdio.h>
int main(void) { for (int i = 0; i < 3; i++) printf("%d\n", i * i); }
C
for flags in -O0 '-O2 -g'; do
    clang $flags main.c -o main
    sha256sum main
    ./main
done
clang -O2 -emit-llvm -S main.c -o - | sha256sum
