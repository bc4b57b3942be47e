//! The functions that the compiler calls by itself.

use core::arch::naked_asm;

/// # Safety
///
/// As memcpy(3).
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    naked_asm!(
        "push esi",
        "push edi",
        "mov edi, [esp + 12]",
        "mov esi, [esp + 16]",
        "mov ecx, [esp + 20]",
        "mov eax, edi",
        "rep movsb",
        "pop edi",
        "pop esi",
        "ret",
    )
}

/// # Safety
///
/// As memset(3).
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
    naked_asm!(
        "push edi",
        "mov edi, [esp + 8]",
        "mov eax, [esp + 12]",
        "mov ecx, [esp + 16]",
        "mov edx, edi",
        "rep stosb",
        "mov eax, edx",
        "pop edi",
        "ret",
    )
}

/// # Safety
///
/// As bcmp(3).
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    naked_asm!(
        "push esi",
        "push edi",
        "mov edi, [esp + 12]",
        "mov esi, [esp + 16]",
        "mov ecx, [esp + 20]",
        // Equal if there is nothing to compare.
        "xor eax, eax",
        "repe cmpsb",
        "setne al",
        "pop edi",
        "pop esi",
        "ret",
    )
}
