/* The first process of a guest: whether a program maps code from its pool, while fs-verity guards the pool's files or does not.
   The directory of the pool and the program are its arguments. */
#include <dirent.h>
#include <fcntl.h>
#include <linux/fsverity.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *pool, *program;

static void report(const char *what)
{
    char line[1024];
    int count = 0, works = 0;
    FILE *said = popen(program, "r");

    while (said && fgets(line, sizeof line, said)) {
        count += strstr(line, "r-xp") && strstr(line, pool);
        works |= !strcmp(line, "it works\n");
    }
    if (said)
        pclose(said);
    printf("\n<%s: %s, %s>\n", what, works ? "works" : "fails", count ? "used" : "unused");
    fflush(stdout);
}

/* Calls it for each file, by its name in the pool. */
static void each(void (*change)(const char *name, int how), int how)
{
    DIR *files = opendir(pool);
    struct dirent *file;
    char names[64][80];
    int count = 0;

    while (files && (file = readdir(files)) && count < 64)
        if (strlen(file->d_name) == 64)
            strcpy(names[count++], file->d_name);
    if (files)
        closedir(files);
    if (chdir(pool))
        perror(pool);
    for (int i = 0; i < count; i++)
        change(names[i], how);
    if (chdir("/"))
        perror("/");
}

/* With so many bytes of salt. */
static void guard(const char *name, int salt)
{
    struct fsverity_enable_arg how = { .version = 1, .block_size = 4096 };
    int file = open(name, O_RDONLY);

    how.hash_algorithm = FS_VERITY_HASH_ALG_SHA256;
    how.salt_size = salt;
    how.salt_ptr = (unsigned long)"salt";
    if (ioctl(file, FS_IOC_ENABLE_VERITY, &how))
        perror("FS_IOC_ENABLE_VERITY");
    close(file);
}

/* Another file of the same length takes its place, whose last byte differs by so much. */
static void exchange(const char *name, int difference)
{
    int from = open(name, O_RDONLY), to = open("new", O_WRONLY | O_CREAT | O_TRUNC, 0444);
    struct stat stat;
    char *bytes;

    fstat(from, &stat);
    bytes = malloc(stat.st_size);
    if (read(from, bytes, stat.st_size) != stat.st_size)
        perror(name);
    bytes[stat.st_size - 1] += difference;
    if (write(to, bytes, stat.st_size) != stat.st_size)
        perror("new");
    free(bytes);
    close(from);
    close(to);
    rename("new", name);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    pool = argv[1];
    program = argv[2];
    mount("proc", "/proc", "proc", 0, 0);
    report("unguarded");
    each(guard, 0);
    report("guarded");
    each(exchange, 1);
    report("other bytes, unguarded");
    each(guard, 0);
    report("other bytes, guarded");
    each(exchange, -1);
    each(guard, 4);
    report("with salt");
    sync();
    reboot(RB_POWER_OFF);
    return 1;
}
