// Looks up a user and a group by services that are modules of the C library.
#define _DEFAULT_SOURCE
#include <grp.h>
#include <nss.h>
#include <pwd.h>
#include <stdio.h>

int main(void) {
    if (__nss_configure_lookup("passwd", "compat") || __nss_configure_lookup("group", "compat"))
        return 1;
    struct passwd *user = getpwnam("root");
    struct group *group = getgrnam("daemon");
    if (!user || !group)
        return 2;
    printf("%s %u %s, %s %u\n", user->pw_name, user->pw_uid, user->pw_dir, group->gr_name, group->gr_gid);
    return 0;
}
