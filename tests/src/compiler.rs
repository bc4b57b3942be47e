//! Which compiler builds small programs.

use std::env;
use std::ffi::OsString;

/// The machine's compiler, `$CC` or `$CXX` before `cc` and `c++`.
pub fn compiler(cxx: bool) -> OsString {
    let (variable, default) = if cxx { ("CXX", "c++") } else { ("CC", "cc") };
    env::var_os(variable).unwrap_or_else(|| default.into())
}
