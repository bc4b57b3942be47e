//! What differs between architectures: one file each, with the same items.

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

#[cfg(not(target_arch = "x86_64"))]
compile_error!("statify converts x86-64 programs and runs on x86-64 only, so far");
