//! The two functions that the compiler calls by itself. Their loops are in instructions, so that the compiler does not take
//! them for what they are.

use core::arch::asm;

/// # Safety
///
/// As memcpy(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "cbz {len}, 3f",
            "2: ldrb {byte:w}, [{from}], #1",
            "strb {byte:w}, [{at}], #1",
            "subs {len}, {len}, #1",
            "b.ne 2b",
            "3:",
            len = inout(reg) len => _,
            at = inout(reg) to => _,
            from = inout(reg) from => _,
            byte = out(reg) _,
            options(nostack),
        );
    }
    to
}

/// # Safety
///
/// As memset(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "cbz {len}, 3f",
            "2: strb {byte:w}, [{at}], #1",
            "subs {len}, {len}, #1",
            "b.ne 2b",
            "3:",
            len = inout(reg) len => _,
            at = inout(reg) to => _,
            byte = in(reg) byte,
            options(nostack),
        );
    }
    to
}
