// Runs argv[1] where nothing may be made executable any more (Linux 6.3); 77 where that cannot be had.
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv) {
    enum { PR_SET_MDWE_ = 65, PR_MDWE_REFUSE_EXEC_GAIN_ = 1 };
    if (prctl(PR_SET_MDWE_, PR_MDWE_REFUSE_EXEC_GAIN_, 0, 0, 0))
        return 77;
    execv(argv[1], argv + 1);
    return 1;
}
