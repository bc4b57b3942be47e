//! The system call instruction.

use core::arch::naked_asm;

use super::nr;

/// pwrite64(2), which the agent makes.
const PWRITE64: u64 = nr::PREAD64 + 1;

/// A system call; the result is negative from -4095 to -1 for an error.
///
/// # Safety
///
/// As the call.
pub unsafe fn syscall(number: u64, [a, b, c, d, e, f]: [u64; 6]) -> i64 {
    // Offsets in a file: mmap2(2) has pages of 4 KiB, pread64(2) and pwrite64(2) two words.
    let (d, e, f) = match number {
        nr::MMAP => (d, e, f >> 12),
        nr::PREAD64 | PWRITE64 => (d, d >> 32, f),
        _ => (d, e, f),
    };
    let words = [number, a, b, c, d, e, f].map(|word| word as u32);
    // SAFETY: the caller's promise.
    let result = unsafe { interrupt(&words) };
    // An address may be as high as to be negative.
    if result > 0xffff_f000 { i64::from(result as i32) } else { i64::from(result) }
}

/// The number, and six arguments in ebx, ecx, edx, esi, edi and ebp; the compiler keeps some of them for itself. The kernel
/// changes eax only, and what the call is asked to change.
#[unsafe(naked)]
unsafe extern "C" fn interrupt(words: *const [u32; 7]) -> u32 {
    naked_asm!(
        "push ebx",
        "push esi",
        "push edi",
        "push ebp",
        "mov ebp, [esp + 20]",
        "mov eax, [ebp]",
        "mov ebx, [ebp + 4]",
        "mov ecx, [ebp + 8]",
        "mov edx, [ebp + 12]",
        "mov esi, [ebp + 16]",
        "mov edi, [ebp + 20]",
        "mov ebp, [ebp + 24]",
        "int 0x80",
        "pop ebp",
        "pop edi",
        "pop esi",
        "pop ebx",
        "ret",
    )
}
