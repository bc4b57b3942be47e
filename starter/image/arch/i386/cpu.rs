//! What the running CPU says of itself.

use core::arch::asm;

use crate::params::{self, CpuFeatures};
use crate::stack::Stack;

/// The time-stamp counter (RDTSC).
pub fn timestamp() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter; where it is not permitted, the original could not start either.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") high, options(nomem, nostack)) };
    u64::from(low) | u64::from(high) << 32
}

/// What it has: CPUID twice (each traps in a virtual machine: 2 to 20 us).
pub fn cpu_features(_stack: &Stack) -> CpuFeatures {
    const OSXSAVE: u32 = 1 << 27;
    let [signature, _, ecx, edx] = cpuid(1);
    let has_more = ecx & OSXSAVE != 0;
    // Older CPUs answer with another leaf's values; those with XSAVE know this one.
    let [_, b, c, d] = if has_more { cpuid(7) } else { [0; 4] };
    let xcr0 = if has_more { xcr0() } else { 0 };
    let lzcnt = if has_lzcnt() { params::CPU_LZCNT } else { 0 };
    let more = lzcnt | params::vendor(signature, has_more, || cpuid(0)[1]);
    CpuFeatures { signature, basic: [ecx, edx], structured: [b, c, d], xcr0, more }
}

/// Subleaf 0 of a leaf: eax, ebx, ecx, edx.
fn cpuid(leaf: u32) -> [u32; 4] {
    let (a, b, c, d): (u32, u32, u32, u32);
    // SAFETY: ebx, by which the compiler may find constants, is as before.
    unsafe {
        asm!(
            "mov {b}, ebx",
            "cpuid",
            "xchg {b}, ebx",
            b = out(reg) b,
            inlateout("eax") leaf => a,
            inlateout("ecx") 0 => c,
            lateout("edx") d,
            options(nomem, nostack, preserves_flags),
        );
    }
    [a, b, c, d]
}

fn xcr0() -> u32 {
    let xcr0: u32;
    // SAFETY: called only where CPUID says OSXSAVE.
    unsafe {
        asm!("xgetbv", in("ecx") 0, out("eax") xcr0, out("edx") _, options(nomem, nostack, preserves_flags));
    }
    xcr0
}

/// LZCNT is BSR to a CPU that does not know it: of 1, 0 instead of 31. Asking CPUID would trap.
fn has_lzcnt() -> bool {
    let zeros: u32;
    // SAFETY: either instruction changes the register and the flags only.
    unsafe { asm!("lzcnt {0:e}, {1:e}", out(reg) zeros, in(reg) 1, options(nomem, nostack)) };
    zeros == 31
}
