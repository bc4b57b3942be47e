//! By which names loaders of this machine are known, and where libraries for it lie (glibc's shlib-versions
//! and sysdeps/x86_64; musl's manual; Debian's multiarch specification; FHS, /lib<qual>).

use crate::machine::row::Row;

/// See [`crate::machine::Machine::loader_soname`].
pub const SONAME: &[u8] = b"ld-linux-x86-64.so.2";

/// See [`crate::machine::Machine::musl_name`].
pub const MUSL: &str = "x86_64";

/// See [`crate::machine::Machine::library_directories`].
pub const DIRECTORIES: &[&str] = &[
    "/lib64",
    "/usr/lib64",
    "/usr/local/lib64",
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
];

/// How the names of `glibc-hwcaps` subdirectories begin.
const HWCAPS: &str = "x86-64-v";

/// Of programs with addresses of 64 bits.
pub const ROW: Row = Row {
    name: "x86-64",
    flags: 0x300,
    glibc: "/lib64/ld-linux-x86-64.so.2",
    musl: MUSL,
    hwcaps: HWCAPS,
};

/// Of those with 32, x32, which are not converted.
pub const ROW_X32: Row = Row {
    name: "x32",
    flags: 0x800,
    glibc: "/libx32/ld-linux-x32.so.2",
    musl: "x32",
    hwcaps: HWCAPS,
};
