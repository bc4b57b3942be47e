// Converts a text between character sets whose converters are modules, there and back.
#include <iconv.h>
#include <stdio.h>
#include <string.h>

static int convert(const char *to, const char *from, char *text, size_t len, char *result) {
    iconv_t converter = iconv_open(to, from);
    size_t left = 256;
    if (converter == (iconv_t)-1) {
        perror(to);
        return -1;
    }
    if (iconv(converter, &text, &len, &result, &left) == (size_t)-1 || iconv_close(converter))
        return -1;
    return 256 - left;
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        char text[] = "\xe6\x97\xa5\xe6\x9c\xac kana", there[256], back[256];
        int len = convert(argv[i], "UTF-8", text, strlen(text), there);
        if (len < 0)
            return 1;
        printf("%s:", argv[i]);
        for (int at = 0; at < len; at++)
            printf(" %02x", (unsigned char)there[at]);
        len = convert("UTF-8", argv[i], there, len, back);
        printf(" %.*s\n", len, back);
    }
    return 0;
}
