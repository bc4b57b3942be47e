//! What answers the loader's calls in a converted program that has plugins: embedded files by their
//! names, the host's or a refusal by the policy.
//!
//! No libc, no relocations, no writable data, no panics. It runs on whatever stack the loader is
//! called on, in any thread, also between vfork and exec: it keeps nothing but what is on that stack
//! and in the descriptors that it returns.

#![no_std]
#![no_main]

#[cfg_attr(target_arch = "x86_64", path = "arch/x86_64.rs")]
#[cfg_attr(target_arch = "x86", path = "arch/i386.rs")]
#[cfg_attr(target_arch = "aarch64", path = "arch/aarch64.rs")]
mod arch;
mod compare;
mod elf;
#[path = "../../crates/params/src/agent.rs"]
#[allow(dead_code)]
mod format;
mod identity;
mod index;
mod open;
mod own;
mod path;
mod refusal;
mod serve;
mod state;

use arch::nr;
use index::Index;

/// A call that the loader (or the C library) wants to make.
pub struct Call<'a> {
    number: u64,
    args: &'a [u64; 6],
    /// One of `format::SITE_*`.
    site: u32,
}

impl Call<'_> {
    /// Makes it.
    fn make(&self) -> i64 {
        // SAFETY: it is what the caller would do by itself.
        unsafe { arch::syscall(self.number, *self.args) }
    }
}

/// Called by the entry code; the result is the call's.
///
/// # Safety
///
/// `params` is the block in front of the image, the rest a system call's number and arguments.
unsafe extern "C" fn answer(
    args: &[u64; 6],
    number: u64,
    site: u32,
    params: *const format::AgentParams,
) -> i64 {
    // SAFETY: the caller's promise; the index was checked when the file was written.
    let index = unsafe { Index::find(params) };
    let call = Call { number, args, site };
    match number {
        nr::OPENAT => open::open(&index, &call, args[1], args[2]),
        nr::FSTAT => state::of_descriptor(&index, &call, args[0], args[1]),
        nr::MMAP => own::map(&index, &call),
        nr::PREAD64 => own::read(&index, &call),
        nr::LSEEK => own::position(&index, &call),
        nr::NEWFSTATAT => state::newfstatat(&index, &call),
        _ => arch::own_call(&index, &call),
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // As in the starter: should a change bring a panic in, this fails to link.
    unsafe extern "C" {
        fn the_agent_must_not_panic() -> !;
    }
    // SAFETY: never linked.
    unsafe { the_agent_must_not_panic() }
}
