//! The thread's memory, which code finds by %gs.

use core::arch::asm;

use super::{nr, syscall};

/// `struct user_desc` (arch/x86/include/uapi/asm/ldt.h).
#[repr(C)]
struct Descriptor {
    entry: u32,
    base: u32,
    limit: u32,
    flags: u32,
}

/// Makes a call that the loader has made, once more. The arguments of set_thread_area(2) are the fields of the structure
/// that it is given; the selector of the entry that it fills is then put into %gs, as the loader has done. A new
/// process has all entries free, so that it is the same one.
///
/// # Safety
///
/// As the call.
pub unsafe fn repeat(number: u64, args: [u64; 6]) -> i64 {
    if number != nr::SET_THREAD_AREA {
        // SAFETY: the caller's promise.
        return unsafe { syscall(number, args) };
    }
    let [entry, base, limit, flags, ..] = args.map(|field| field as u32);
    let mut descriptor = Descriptor { entry, base, limit, flags };
    // SAFETY: the kernel reads the structure and writes its first field. Nothing of the starter uses %gs.
    unsafe {
        let result = syscall(number, [(&raw mut descriptor) as u64, 0, 0, 0, 0, 0]);
        if result == 0 {
            let selector = (&raw const descriptor.entry).read_volatile() * 8 + 3;
            asm!("mov gs, {0:x}", in(reg) selector, options(nostack, preserves_flags));
        }
        result
    }
}
