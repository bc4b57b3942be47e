//! What both machines of the x86 family do alike: what the running CPU says of itself, and calls that they have.

use core::arch::asm;
#[cfg(target_arch = "x86")]
use core::arch::x86::__cpuid_count;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::__cpuid_count;

use super::{nr, syscall};
use crate::PAGE;
use crate::call;
use crate::params::{self, CpuFeatures, Params, Range};
use crate::stack::{AT_PAGESZ, Stack};

/// The kernel's pages. They are of the one size by which everything in the tables is laid out.
#[derive(Clone, Copy)]
pub struct Pages;

impl Pages {
    pub fn of(_stack: &Stack) -> Self {
        Self
    }

    /// Whether the output is for the kernel's.
    pub fn fit(p: &Params, stack: &Stack) -> bool {
        stack.value(AT_PAGESZ).is_some_and(|size| size <= p.largest_page)
    }

    /// In bytes.
    pub fn size(self) -> u64 {
        PAGE
    }

    /// The start of the page that a byte of the tables' ranges lies in.
    pub fn down(self, at: u64) -> u64 {
        at
    }

    /// The end of the page that the byte before `at` lies in.
    pub fn up(self, at: u64) -> u64 {
        at
    }

    /// Whole pages that a range of the tables stands for, which lies at `start` here.
    pub fn whole(self, range: &Range, start: u64) -> Range {
        Range { start, ..*range }
    }
}

/// How far the starter's code lies from what is in front of it in the file.
pub const FRONT_GAP: u64 = 0;

/// Ends the process by an instruction that only the kernel may execute: SIGSEGV.
pub fn crash() -> ! {
    loop {
        // SAFETY: it is not executed, it traps.
        unsafe { asm!("hlt", options(nomem, nostack)) };
    }
}

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
    let answer = __cpuid_count(leaf, 0);
    [answer.eax, answer.ebx, answer.ecx, answer.edx]
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

/// Asks an IFUNC resolver, which has no argument here (glibc, sysdeps/i386/dl-irel.h, sysdeps/x86_64/dl-irel.h).
///
/// # Safety
///
/// `function` is one, and everything it uses is in place.
pub unsafe fn resolver(function: u64, _stack: &Stack) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { call::function(function, 0) }
}

/// What a register makes the C library keep: no register does, CPUID is asked.
pub fn cpu_word(_number: u16, _stack: &Stack) -> Option<u64> {
    None
}

/// Whether the kernel says that the CPU has a bit: it says nothing by which anybody chooses.
pub fn has_hwcap(_bit: u16, _stack: &Stack) -> bool {
    false
}

/// readlink(2): what a link says, into so many bytes.
///
/// # Safety
///
/// `path` is a string, and `to` leads to as many bytes.
pub unsafe fn readlink(path: u64, to: u64, len: u64) -> i64 {
    // SAFETY: the caller's promise.
    unsafe { syscall(nr::READLINK, [path, to, len, 0, 0, 0]) }
}

/// Permissions that pages get last, as this CPU can have them.
pub fn protection(prot: u64, _stack: &Stack) -> u64 {
    prot
}
