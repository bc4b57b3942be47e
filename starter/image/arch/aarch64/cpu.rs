//! The running CPU: by what the kernel says (AT_HWCAP and its kind), and by two registers.

use core::arch::asm;

use crate::params::{CpuFeatures, PROT_BTI};
use crate::stack::Stack;

/// linux/auxvec.h.
const AT_HWCAP: u64 = 16;
const AT_HWCAP2: u64 = 26;
const AT_HWCAP3: u64 = 29;
const AT_HWCAP4: u64 = 30;
/// The kernel answers for MIDR_EL1.
const HWCAP_CPUID: u64 = 1 << 11;
/// In AT_HWCAP2: the CPU heeds marks of what branches may lead to.
const HWCAP2_BTI: u64 = 1 << 17;
/// A resolver has a second argument (_IFUNC_ARG_HWCAP of the C library's sys/ifunc.h).
const HAS_SECOND: u64 = 1 << 62;

/// What the running CPU has, as [`CpuFeatures`] says.
pub fn cpu_features(stack: &Stack) -> CpuFeatures {
    let [first, second, third, _] = words(stack);
    let high = |word: u64| (word >> 32) as u32;
    CpuFeatures {
        signature: midr(stack) as u32,
        basic: [first as u32, high(first)],
        structured: [second as u32, high(second), third as u32],
        xcr0: 0,
        more: 0,
    }
}

fn words(stack: &Stack) -> [u64; 4] {
    [AT_HWCAP, AT_HWCAP2, AT_HWCAP3, AT_HWCAP4].map(|kind| stack.value(kind).unwrap_or(0))
}

/// Whether the kernel says that the CPU has a bit of AT_HWCAP and its kind, as [`crate::params::FIXUP_HWCAP`] counts them.
pub fn has_hwcap(bit: u16, stack: &Stack) -> bool {
    let word = words(stack)[usize::from(bit / 64 % 4)];
    word >> (bit % 64) & 1 != 0
}

/// What a register makes the C library keep, by its number: MIDR_EL1, and how many bytes `dc zva` clears.
pub fn word(number: u16, stack: &Stack) -> Option<u64> {
    match number {
        0 => Some(midr(stack)),
        _ => Some(zva()),
    }
}

fn midr(stack: &Stack) -> u64 {
    if stack.value(AT_HWCAP).unwrap_or(0) & HWCAP_CPUID == 0 {
        return 0;
    }
    let midr: u64;
    // SAFETY: the kernel answers for the register.
    unsafe { asm!("mrs {}, midr_el1", out(reg) midr, options(nomem, nostack)) };
    midr
}

/// DCZID_EL0 counts words of four bytes, as a power of two; a bit says that the instruction may not be used.
fn zva() -> u64 {
    let dczid: u64;
    // SAFETY: every program may read the register.
    unsafe { asm!("mrs {}, dczid_el0", out(reg) dczid, options(nomem, nostack)) };
    if dczid & 0x10 != 0 { 0 } else { 4 << (dczid & 0xf) }
}

/// Asks an IFUNC resolver (sys/ifunc.h of the C library): AT_HWCAP, and a structure of its size and AT_HWCAP and so on.
///
/// # Safety
///
/// `function` is one, and everything it uses is in place.
pub unsafe fn resolver(function: u64, stack: &Stack) -> u64 {
    let [first, second, third, fourth] = words(stack);
    let structure = [size_of::<[u64; 5]>() as u64, first, second, third, fourth];
    // SAFETY: the caller's promise.
    unsafe {
        let function: unsafe extern "C" fn(u64, *const u64) -> u64 = core::mem::transmute(function);
        function(first | HAS_SECOND, structure.as_ptr())
    }
}

/// Permissions that pages get last, as this CPU can have them.
pub fn protection(prot: u64, stack: &Stack) -> u64 {
    if stack.value(AT_HWCAP2).unwrap_or(0) & HWCAP2_BTI != 0 { prot } else { prot & !PROT_BTI }
}
