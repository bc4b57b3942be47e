// Lists what the modules of libsasl2 offer a client (sasl.h, not needed for this).
#include <stdio.h>

int sasl_client_init(const void *callbacks);
const char **sasl_global_listmech(void);

int main(void) {
    if (sasl_client_init(NULL))
        return 1;
    for (const char **name = sasl_global_listmech(); name && *name; name++)
        puts(*name);
    return 0;
}
