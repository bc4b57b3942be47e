//! By which names loaders of this machine are known, and where libraries for it lie (glibc's shlib-versions
//! and sysdeps/unix/sysv/linux/aarch64; musl's manual; Debian's multiarch specification; FHS, /lib<qual>).

use crate::machine::row::Row;

/// See [`crate::machine::Machine::loader_soname`].
pub const SONAME: &[u8] = b"ld-linux-aarch64.so.1";

/// See [`crate::machine::Machine::musl_name`].
pub const MUSL: &str = "aarch64";

/// See [`crate::machine::Machine::library_directories`].
pub const DIRECTORIES: &[&str] = &[
    "/lib64",
    "/usr/lib64",
    "/usr/local/lib64",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
];

/// FLAG_AARCH64_LIB64.
const CACHE_FLAG: u32 = 0xa00;

/// See [`crate::machine::Abi`]. There are no names of CPUs below `glibc-hwcaps`.
pub const ROW: Row = Row {
    name: "aarch64",
    flags: CACHE_FLAG,
    glibc: "/lib/ld-linux-aarch64.so.1",
    musl: MUSL,
    hwcaps: "",
};

/// Of programs whose data has the highest byte first.
pub const ROW_BIG_ENDIAN: Row = Row {
    name: "aarch64_be",
    flags: CACHE_FLAG,
    glibc: "/lib/ld-linux-aarch64_be.so.1",
    musl: "aarch64_be",
    hwcaps: "",
};
