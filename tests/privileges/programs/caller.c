// The unprivileged caller: gives up everything, makes the surroundings that its arguments describe, and executes a
// program in them.
//   caller [uid=N] [close=N] [limit=NAME:SOFT] [argv=none] [set=NAME=VALUE] -- PROGRAM [ARGUMENT...]
// The program's environment is what `set=` says, nothing else.
// Its standard output is the program's descriptor 7, whatever is closed.
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const struct {
    const char *name;
    int number;
} limits[] = {{"as", RLIMIT_AS},         {"core", RLIMIT_CORE},   {"cpu", RLIMIT_CPU},     {"data", RLIMIT_DATA},
              {"fsize", RLIMIT_FSIZE},   {"nofile", RLIMIT_NOFILE}, {"stack", RLIMIT_STACK}, {"memlock", RLIMIT_MEMLOCK},
              {"nproc", RLIMIT_NPROC}};

static int fail(const char *what) {
    perror(what);
    return 120;
}

static int limit(const char *text) {
    const char *colon = strchr(text, ':');
    for (size_t i = 0; colon && i < sizeof limits / sizeof *limits; i++) {
        if (strlen(limits[i].name) == (size_t)(colon - text) && !strncmp(limits[i].name, text, colon - text)) {
            struct rlimit limit;
            if (getrlimit(limits[i].number, &limit))
                return -1;
            limit.rlim_cur = strcmp(colon + 1, "unlimited") ? strtoull(colon + 1, NULL, 0) : RLIM_INFINITY;
            return setrlimit(limits[i].number, &limit);
        }
    }
    return -1;
}

int main(int argc, char **argv) {
    char *none[] = {NULL}, *variables[argc + 1];
    int count = 0;
    int empty = 0, closed[8] = {0}, first = 1;
    if (dup2(1, 7) != 7)
        return fail("dup2");
    for (; first < argc && strcmp(argv[first], "--"); first++) {
        const char *word = argv[first];
        if (!strncmp(word, "uid=", 4)) {
            uid_t uid = atoi(word + 4);
            if (setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
                return fail(word);
        } else if (!strncmp(word, "close=", 6)) {
            closed[atoi(word + 6) & 7] = 1;
        } else if (!strncmp(word, "limit=", 6)) {
            if (limit(word + 6))
                return fail(word);
        } else if (!strncmp(word, "set=", 4)) {
            variables[count++] = argv[first] + 4;
        } else if (!strcmp(word, "argv=none")) {
            empty = 1;
        } else {
            return fail(word);
        }
    }
    if (++first >= argc)
        return 121;
    for (int fd = 0; fd < 7; fd++)
        if (closed[fd])
            close(fd);
    variables[count] = NULL;
    execve(argv[first], empty ? none : argv + first, variables);
    return 122;
}
