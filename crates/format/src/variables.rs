//! Which of the C library's variables (GLIBC_TUNABLES, MALLOC_*) count at the starts of an output, in sentences.

use statify_params::{FROZEN_TUNABLES, Params};

/// The C library itself reads those that it has, after the hand-off.
pub const BY_LIBRARY: &str = "left to the C library";
/// The starter calls the loader's function that reads them.
pub const BY_LOADER: &str = "GLIBC_TUNABLES and MALLOC_* count, but for glibc.rtld.*, glibc.pthread.rseq and glibc.mem.tagging";
/// The same, where the record of the CPU cannot be made at start.
pub const BY_OLDER_LOADER: &str = "GLIBC_TUNABLES and MALLOC_* count, but for glibc.rtld.*, glibc.pthread.rseq, glibc.mem.tagging and what concerns the CPU (glibc.cpu.*)";
/// It is not understood how the loader reads them.
pub const FROZEN: &str = "GLIBC_TUNABLES and MALLOC_* have no effect";

/// What the parameters of an output's starter say of that.
pub fn describe(params: &Params) -> &'static str {
    match params.read_tunables {
        0 => BY_LIBRARY,
        FROZEN_TUNABLES => FROZEN,
        _ if params.can_resolve != 0 => BY_LOADER,
        _ => BY_OLDER_LOADER,
    }
}
