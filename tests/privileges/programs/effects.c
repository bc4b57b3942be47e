// Does one thing that a variable of the environment has an effect on, and says what came of it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <iconv.h>
#include <locale.h>
#include <netinet/in.h>
#include <nl_types.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *text(const char *string) { return string ? string : "nothing"; }

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "gconv")) {
        iconv_t opened = iconv_open("STATIFY-TEST//", "UTF-8");
        puts(opened == (iconv_t)-1 ? "unknown" : "known");
    } else if (!strcmp(what, "locale")) {
        puts(text(setlocale(LC_CTYPE, "statify")));
    } else if (!strcmp(what, "catalogue")) {
        nl_catd opened = catopen("statify", 0);
        puts(opened == (nl_catd)-1 ? "missing" : catgets(opened, 1, 1, "nothing"));
    } else if (!strcmp(what, "alias")) {
        puts(text(hostalias("statify-test")));
    } else if (!strcmp(what, "resolver")) {
        res_init();
        printf("%d %s\n", (int)_res.ndots, _res.defdname);
    } else if (!strcmp(what, "temporary")) {
        puts(text(tempnam(NULL, "name")) ? "made" : "none");
        puts(text(getenv("TMPDIR")));
    } else if (!strcmp(what, "zone")) {
        time_t now = 0;
        struct tm tm;
        tzset();
        printf("%ld\n", localtime_r(&now, &tm)->tm_gmtoff);
    } else if (!strcmp(what, "malloc")) {
        volatile unsigned char *bytes = malloc(64);
        printf("%d\n", bytes[40]);
    } else if (!strcmp(what, "origin")) {
        puts(dlopen("$ORIGIN/intruder.so", RTLD_NOW) ? "loaded" : "not loaded");
    } else if (!strcmp(what, "by-name")) {
        puts(dlopen("intruder.so", RTLD_NOW) ? "loaded" : "not loaded");
    } else {
        return 100;
    }
    return 0;
}
