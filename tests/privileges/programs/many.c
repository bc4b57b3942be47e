// As nobody: executes its argument with very many variables.
#define _GNU_SOURCE
#include <grp.h>
#include <stdlib.h>
#include <unistd.h>

enum { COUNT = 60000 };
static char *variables[COUNT + 3];

int main(int argc, char **argv) {
    if (argc < 2 || setgroups(0, NULL) || setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
        return 120;
    variables[0] = "FIRST=1";
    for (int i = 0; i < COUNT; i++)
        variables[i + 1] = i % 2 ? "LD_PRELOAD=x" : "TZDIR=/";
    variables[COUNT + 1] = "LAST=1";
    dup2(1, 7);
    execve(argv[1], argv + 1, variables);
    return 121;
}
