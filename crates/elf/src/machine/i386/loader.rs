//! By which names loaders of this machine are known, and where libraries for it lie (glibc's shlib-versions;
//! musl's manual; Debian's multiarch specification, and its packages of 32-bit libraries for 64-bit systems;
//! FHS, /lib<qual>).

use crate::machine::row::Row;

/// See [`crate::machine::Machine::loader_soname`].
pub const SONAME: &[u8] = b"ld-linux.so.2";

/// See [`crate::machine::Machine::musl_name`].
pub const MUSL: &str = "i386";

/// See [`crate::machine::Machine::library_directories`].
pub const DIRECTORIES: &[&str] =
    &["/lib32", "/usr/lib32", "/usr/local/lib32", "/lib/i386-linux-gnu", "/usr/lib/i386-linux-gnu"];

/// See [`crate::machine::Abi`].
pub const ROW: Row =
    Row { name: "i386", flags: 0, glibc: "/lib/ld-linux.so.2", musl: MUSL, hwcaps: "" };
