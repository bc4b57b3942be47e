//! The CPU that runs this.

use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};

use statify_params::CpuFeatures;

use super::cpuid::Leaf;
use super::features::{LZCNT, OSXSAVE};

/// What the starter compares, as it asks.
pub(super) fn features() -> CpuFeatures {
    let [signature, _, basic_ecx, basic_edx] = this(1, 0);
    let has_more = basic_ecx & OSXSAVE != 0;
    let structured = if has_more { this(7, 0) } else { [0; 4] };
    let vendor = statify_params::vendor(signature, has_more, || this(0, 0)[1]);
    let lzcnt = this(0x8000_0001, 0)[2] & LZCNT != 0;
    CpuFeatures {
        signature,
        basic: [basic_ecx, basic_edx],
        structured: [structured[1], structured[2], structured[3]],
        // SAFETY: the instruction exists where OSXSAVE is set.
        xcr0: if has_more { unsafe { xcr0() } } else { 0 },
        more: vendor | if lzcnt { statify_params::CPU_LZCNT } else { 0 },
    }
}

/// # Safety
///
/// CPUID must say OSXSAVE.
#[target_feature(enable = "xsave")]
unsafe fn xcr0() -> u32 {
    // SAFETY: the caller's promise.
    unsafe { _xgetbv(0) as u32 }
}

/// What CPUID answers, less what differs between the CPUs of one machine.
pub(super) fn this(leaf: u32, subleaf: u32) -> Leaf {
    let answer = __cpuid_count(leaf, subleaf);
    let mut registers = [answer.eax, answer.ebx, answer.ecx, answer.edx];
    match leaf {
        1 => registers[1] &= 0x00ff_ffff,
        0xb | 0x1f => registers[3] = 0,
        0x8000_001e => registers[..2].fill(0),
        _ => {}
    }
    registers
}

/// The first eight bytes that CPUID leaf 1 leaves in memory (eax, ebx) on the CPU that runs this.
/// Their last byte is the CPU's APIC id, by which captures on two CPUs differ where the
/// instruction cannot be made to trap.
pub fn cpu_identity() -> [u8; 8] {
    let leaf = __cpuid(1);
    (u64::from(leaf.eax) | u64::from(leaf.ebx) << 32).to_le_bytes()
}

/// The first eight bytes that CPUID leaf 1 leaves in memory, without the APIC id.
pub fn without_apic_id(mut identity: [u8; 8]) -> [u8; 8] {
    identity[7] = 0;
    identity
}

/// Whether it is one of Intel's, whose names glibc's older scheme of directories knows.
pub fn is_intel_here() -> bool {
    features().more & statify_params::CPU_INTEL != 0
}
