//! What CPUs have, by the bits in which CPUID says so (Intel SDM vol. 2, CPUID; AMD APM vol. 3, appendix E).

use super::levels::Level;
use super::vendor::Vendor;

// Leaf 1, edx: FPU, TSC, MSR, CX8, SEP, CMOV, CLFSH, MMX, FXSR, SSE, SSE2.
pub(super) const BASE_1_EDX: u32 =
    1 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 11 | 1 << 15 | 1 << 19 | 7 << 23 | 1 << 26;
// Leaf 1, ecx: SSE3, SSSE3, CX16, SSE4.1, SSE4.2, POPCNT.
const V2_1_ECX: u32 = 1 | 1 << 9 | 1 << 13 | 1 << 19 | 1 << 20 | 1 << 23;
// XSAVE, OSXSAVE, AVX.
const AVX_1_ECX: u32 = 1 << 26 | 1 << 27 | 1 << 28;
// FMA, MOVBE, F16C.
const V3_1_ECX: u32 = 1 << 12 | 1 << 22 | 1 << 29;
pub(super) const OSXSAVE: u32 = 1 << 27;
const MOVBE: u32 = 1 << 22;
const ERMS: u32 = 1 << 9;
// Leaf 7, ebx: BMI1, AVX2, BMI2.
const V3_7_EBX: u32 = 1 << 3 | 1 << 5 | 1 << 8;
// AVX512F, AVX512DQ, AVX512CD, AVX512BW, AVX512VL; and ERMS, which all such CPUs have.
const V4_7_EBX: u32 = 1 << 16 | 1 << 17 | 1 << 28 | 1 << 30 | 1 << 31 | ERMS;
pub(super) const AVX512CD: u32 = 1 << 28;
// Leaf 7: shadow stacks (ecx) and indirect branch tracking (edx) are the kernel's to switch on.
const SHADOW_STACK: u32 = 1 << 7;
const BRANCH_TRACKING: u32 = 1 << 20;
// Leaf 0x80000001, ecx: LAHF and SAHF in 64-bit mode, LZCNT; edx: SYSCALL, NX, LM.
pub(super) const LAHF: u32 = 1;
pub(super) const LZCNT: u32 = 1 << 5;
pub(super) const LONG_EDX: u32 = 1 << 11 | 1 << 20 | 1 << 29;

/// Features by leaf.
pub(super) struct Features {
    pub basic_ecx: u32,
    pub structured: [u32; 3],
    pub extended_ecx: u32,
}

/// Those that define a level.
pub(super) fn features(level: Level) -> Features {
    let from = |least: Level, bits: u32| if level >= least { bits } else { 0 };
    Features {
        basic_ecx: from(Level::V2, V2_1_ECX)
            | from(Level::Avx, AVX_1_ECX)
            | from(Level::V3, V3_1_ECX),
        structured: [from(Level::V3, V3_7_EBX) | from(Level::V4, V4_7_EBX), 0, 0],
        extended_ecx: from(Level::V2, LAHF) | from(Level::V3, LZCNT),
    }
}

/// A level's, of a vendor's CPUs: all of Intel's with AVX2 have ERMS, and the newer ones of AMD's.
pub(super) fn prepared_features(vendor: Vendor, level: Level) -> Features {
    let mut features = features(level);
    if vendor != Vendor::Amd && level >= Level::V3 {
        features.structured[0] |= ERMS;
    }
    features
}

/// All features but one that the next level needs.
pub(super) fn unlike_features(level: Level) -> Features {
    let without = |is_next: bool, bit: u32| if is_next { !bit } else { !0 };
    Features {
        basic_ecx: without(matches!(level, Level::V2 | Level::Avx), MOVBE),
        structured: [without(level == Level::V3, AVX512CD), !SHADOW_STACK, !BRANCH_TRACKING],
        extended_ecx: without(level == Level::V1, LAHF),
    }
}
