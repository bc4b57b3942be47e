/* One thing that comes from the host, or seems to; a macro says which. */
#define _GNU_SOURCE
#include <dlfcn.h>
#ifndef MUSL
#include <execinfo.h>
#endif
#include <iconv.h>
#include <libintl.h>
#include <locale.h>
#include <netdb.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

static void *sleeper(void *unused)
{
    pause();
    return unused;
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv, (void)sleeper;
#if defined(HELLO)
    puts("hello");
#elif defined(MENTIONS)
    /* A name is mentioned, and only the program itself is opened. */
    puts("libmentioned.so.7");
    return dlopen(NULL, RTLD_NOW) == NULL;
#elif defined(CONSTANT)
    void *own = dlopen(NULL, RTLD_NOW);
    void *library = dlopen("libz.so.1", RTLD_NOW);
    printf("%d %d\n", own != NULL, library != NULL);
#elif defined(THERE)
    /* What is loaded from the start is not asked of the host. */
    return dlopen("libc.so.6", RTLD_NOW) == NULL;
#elif defined(BRANCHES)
    /* Which of them is opened is known at run time only. */
    const char *name = argc > 1 ? "libfirst.so" : "libsecond.so";
    if (argc > 2)
        name = "libthird.so.3";
    printf("%d\n", dlopen(name, RTLD_NOW) != NULL);
#elif defined(POINTER)
    /* Called through a pointer. */
    void *(*volatile open)(const char *, int) = dlopen;
    printf("%d\n", open("libpointer.so", RTLD_NOW) != NULL);
#elif defined(ARGUMENT)
    for (int i = 1; i < argc; i++)
        printf("%d\n", dlopen(argv[i], RTLD_NOW) != NULL);
#elif defined(USER)
    printf("%d\n", getpwnam("nobody-of-this-name") != NULL);
#elif defined(HOST)
    struct addrinfo hints = {.ai_flags = AI_IDN}, *found;
    setlocale(LC_ALL, "C.UTF-8");
    printf("%d\n", getaddrinfo("b\303\274cher.invalid", NULL, &hints, &found) == 0);
#elif defined(ICONV)
    printf("%d\n", iconv_open("EUC-JP", "UTF-16") != (iconv_t)-1);
#elif defined(MODE)
    printf("%d\n", fopen("/dev/null", "r,ccs=EUC-JP") != NULL);
#elif defined(PLAIN_MODE)
    printf("%d\n", fopen("/dev/null", "r") != NULL);
#elif defined(LOCALE)
    wchar_t wide;
    mbstate_t state = {0};
    printf("%d\n", setlocale(LC_ALL, "") != NULL);
    printf("%d\n", (int)mbrtowc(&wide, "\344", 1, &state));
#elif defined(C_LOCALE)
    printf("%s %s\n", setlocale(LC_ALL, "C"), setlocale(LC_CTYPE, NULL));
#elif defined(UTF8_LOCALE)
    printf("%d\n", setlocale(LC_ALL, "de_DE.UTF-8") != NULL);
#elif defined(CANCEL)
    pthread_t thread;
    pthread_create(&thread, NULL, sleeper, NULL);
    pthread_cancel(thread);
    pthread_join(thread, NULL);
    puts("cancelled");
#elif defined(BACKTRACE)
    void *frames[8];
    printf("%d\n", backtrace(frames, 8) > 0);
#elif defined(PROGRAM)
    execl("/bin/true", "true", NULL);
#elif defined(LIBRARY)
    extern int opens(const char *);
    printf("%d\n", opens("libz.so.1"));
#endif
    return 0;
}
