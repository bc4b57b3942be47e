//! Which compiler builds small programs.

use std::env;
use std::ffi::OsString;

/// That for AArch64: `$AARCH64_CC`, or Debian's cross compiler.
pub fn for_aarch64() -> OsString {
    env::var_os("AARCH64_CC").unwrap_or_else(|| "aarch64-linux-gnu-gcc".into())
}

/// The machine's compiler, `$CC` or `$CXX` before `cc` and `c++`.
pub fn compiler(cxx: bool) -> OsString {
    let (variable, default) = if cxx { ("CXX", "c++") } else { ("CC", "cc") };
    env::var_os(variable).unwrap_or_else(|| default.into())
}
