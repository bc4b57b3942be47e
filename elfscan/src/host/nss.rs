//! The functions of glibc that ask the name service switch (nsswitch.conf(5)), by database.
//!
//! All of them come to `__nss_module_load` (nss/nss_module.c), which opens `libnss_SERVICE.so.2` for
//! each service that the database's line of /etc/nsswitch.conf names. From 2.34 on `files` and `dns`
//! are in libc.so.6 itself; any other name is a library. `endXXent` only closes what is open.

/// Functions by database.
pub const DATABASES: [(&str, &[&str]); 15] = [
    (
        "aliases",
        &["getaliasbyname", "getaliasbyname_r", "getaliasent", "getaliasent_r", "setaliasent"],
    ),
    ("ethers", &["ether_hostton", "ether_ntohost"]),
    (
        "group",
        &["getgrent", "getgrent_r", "getgrgid", "getgrgid_r", "getgrnam", "getgrnam_r", "setgrent"],
    ),
    ("gshadow", &["getsgent", "getsgent_r", "getsgnam", "getsgnam_r", "setsgent"]),
    (
        "hosts",
        &[
            "getaddrinfo",
            "getaddrinfo_a",
            "gethostbyaddr",
            "gethostbyaddr_r",
            "gethostbyname",
            "gethostbyname2",
            "gethostbyname2_r",
            "gethostbyname_r",
            "gethostent",
            "gethostent_r",
            // From the machine's name to its address (sysdeps/unix/sysv/linux/gethostid.c).
            "gethostid",
            "getipnodebyaddr",
            "getipnodebyname",
            "getnameinfo",
            "rcmd",
            "rcmd_af",
            "rexec",
            "rexec_af",
            "sethostent",
            // Sun's remote procedure calls, in libc.so.6 for programs of before 2.32.
            "callrpc",
            "clnt_create",
            "getrpcport",
        ],
    ),
    ("initgroups", &["getgrouplist", "initgroups"]),
    (
        "netgroup",
        &[
            "getnetgrent",
            "getnetgrent_r",
            "innetgr",
            "iruserok",
            "iruserok_af",
            "ruserok",
            "ruserok_af",
            "setnetgrent",
        ],
    ),
    (
        "networks",
        &[
            "getnetbyaddr",
            "getnetbyaddr_r",
            "getnetbyname",
            "getnetbyname_r",
            "getnetent",
            "getnetent_r",
            "setnetent",
        ],
    ),
    (
        "passwd",
        &[
            "cuserid",
            "getlogin",
            // By the number in /proc/self/loginuid (sysdeps/unix/sysv/linux/getlogin_r.c).
            "getlogin_r",
            "getpw",
            "getpwent",
            "getpwent_r",
            "getpwnam",
            "getpwnam_r",
            "getpwuid",
            "getpwuid_r",
            // `~name` (posix/glob.c, wordexp.c).
            "glob",
            "glob64",
            "setpwent",
            "wordexp",
        ],
    ),
    (
        "protocols",
        &[
            "getprotobyname",
            "getprotobyname_r",
            "getprotobynumber",
            "getprotobynumber_r",
            "getprotoent",
            "getprotoent_r",
            "setprotoent",
        ],
    ),
    ("publickey", &["getpublickey", "getsecretkey", "netname2user"]),
    (
        "rpc",
        &[
            "getrpcbyname",
            "getrpcbyname_r",
            "getrpcbynumber",
            "getrpcbynumber_r",
            "getrpcent",
            "getrpcent_r",
            "setrpcent",
        ],
    ),
    (
        "services",
        &[
            "getservbyname",
            "getservbyname_r",
            "getservbyport",
            "getservbyport_r",
            "getservent",
            "getservent_r",
            "setservent",
        ],
    ),
    ("shadow", &["getspent", "getspent_r", "getspnam", "getspnam_r", "setspent"]),
    ("any", &["__nss_configure_lookup"]),
];

/// All functions.
pub fn functions() -> Vec<&'static str> {
    DATABASES.iter().flat_map(|(_, functions)| functions.iter().copied()).collect()
}
