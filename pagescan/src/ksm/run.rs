//! KSM for this process, and so for the program that it executes.

use std::io;

use crate::kernel::merge::merge_own;

/// Lets KSM merge this process's memory, that of the program that it executes, and that of their children.
pub fn mergeable_from_here() -> Result<(), String> {
    merge_own(true).map_err(|error| match error.raw_os_error() {
        Some(libc::EINVAL) => {
            "this kernel cannot switch KSM for a process: it is older than Linux 6.4, or has none (CONFIG_KSM); run the program without --ksm"
                .into()
        }
        _ => refused(&error),
    })
}

fn refused(error: &io::Error) -> String {
    format!("the kernel refuses to switch KSM for the program: {error}; run it without --ksm")
}
