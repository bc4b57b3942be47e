// Authenticates by the service "test" of a directory (pam_appl.h, not needed for this).
#include <stdio.h>

struct pam_conv {
    int (*conv)(int, const void **, void **, void *);
    void *data;
};

int pam_start_confdir(const char *service, const char *user, const struct pam_conv *conv,
                      const char *directory, void **handle);
int pam_authenticate(void *handle, int flags);
int pam_end(void *handle, int status);

static int silent(int count, const void **messages, void **answers, void *data) {
    return 19; // PAM_CONV_ERR
}

int main(int argc, char **argv) {
    struct pam_conv conv = {silent, NULL};
    void *handle = NULL;
    int status = pam_start_confdir("test", "root", &conv, argv[1], &handle);
    if (status == 0)
        status = pam_authenticate(handle, 0);
    printf("status %d\n", status);
    return pam_end(handle, status);
}
