//! What CPUID answers on CPUs that are made up.

use super::features::{BASE_1_EDX, Features, LONG_EDX, OSXSAVE};

/// What a leaf is in eax, ebx, ecx, edx.
pub(super) type Leaf = [u32; 4];

/// Family 15, model 4: libraries have no preferences for it.
pub(super) const OLD_INTEL: u32 = 0x0000_0f41;
/// Family 6, model 26: the first with SSE4.2.
pub(super) const NEHALEM: u32 = 0x0001_06a5;
/// Family 6, model 85.
pub(super) const NEW_INTEL: u32 = 0x0005_0654;

/// A CPU of Intel's: 32 KiB, 256 KiB and 8 MiB of cache.
pub(super) fn intel(signature: u32, features: &Features, leaf: u32, subleaf: u32) -> Leaf {
    // "GenuineIntel" in the order ebx, edx, ecx.
    const VENDOR: Leaf = [0xd, 0x756e_6547, 0x6c65_746e, 0x4965_6e69];
    match (leaf, subleaf) {
        (0, _) => VENDOR,
        (1, _) => [signature, 8 << 8, features.basic_ecx, BASE_1_EDX],
        // "See leaf 4".
        (2, _) => [0x00fe_ff01, 0xf0, 0, 0],
        (4, 0) => cache(1, 1, 8, 64),
        (4, 1) => cache(2, 1, 8, 64),
        (4, 2) => cache(3, 2, 8, 512),
        (4, 3) => cache(3, 3, 16, 8192),
        (7, 0) => [0, features.structured[0], features.structured[1], features.structured[2]],
        (0xd, _) if features.basic_ecx & OSXSAVE != 0 => state(subleaf, 0),
        (0x8000_0000, _) => [0x8000_0008, 0, 0, 0],
        (0x8000_0001, _) => [0, 0, features.extended_ecx, LONG_EDX],
        _ => [0; 4],
    }
}

/// Leaf 4: type (1 data, 2 code, 3 both), level, ways and sets of a cache with lines of 64 bytes.
const fn cache(kind: u32, level: u32, ways: u32, sets: u32) -> Leaf {
    [kind | level << 5 | 1 << 8, 63 | (ways - 1) << 22, sets - 1, 0]
}

/// Leaf 0xd: room for every state up to PKRU in the standard form, so that no CPU needs more.
fn state(subleaf: u32, compaction: u32) -> Leaf {
    const ALL: u32 = 2696;
    match subleaf {
        0 => [0b1110_0111, ALL, ALL, 0],
        1 => [compaction, ALL, 0, 0],
        2 => [256, 576, 0, 0],
        5 => [64, 1088, 0, 0],
        6 => [512, 1152, 0, 0],
        7 => [1024, 1664, 0, 0],
        9 => [8, 2688, 0, 0],
        _ => [0; 4],
    }
}

/// A CPU of AMD's with other caches.
pub(super) fn amd(features: &Features, leaf: u32, subleaf: u32) -> Leaf {
    // "AuthenticAMD" in the order ebx, edx, ecx.
    const VENDOR: Leaf = [0x10, 0x6874_7541, 0x444d_4163, 0x6974_6e65];
    match (leaf, subleaf) {
        (0, _) => VENDOR,
        (1, _) => [0x0080_0f11, 8 << 8, features.basic_ecx, BASE_1_EDX | 1 << 28],
        (7, 0) => [0, features.structured[0], features.structured[1], features.structured[2]],
        // XSAVEC for the one that has everything: not all CPUs with AVX have it.
        (0xd, _) if features.basic_ecx == !0 => state(subleaf, 0xf),
        (0xd, _) if features.basic_ecx & OSXSAVE != 0 => state(subleaf, 0),
        (0x8000_0000, _) => [0x8000_0020, VENDOR[1], VENDOR[2], VENDOR[3]],
        (0x8000_0001, _) => [0x0080_0f11, 0, features.extended_ecx, LONG_EDX | 1 << 26],
        // Data and code cache of 64 KiB each; 1 MiB; 32 MiB (in units of 512 KiB).
        (0x8000_0005, _) => [0, 0, 0x4008_0140, 0x4008_0140],
        (0x8000_0006, _) => [0, 0, 0x0400_6140, 64 << 18 | 0x6140],
        (0x8000_0008, _) => [0x3030, 0, 15, 0],
        (0x8000_001d, 0) => cache(1, 1, 8, 128),
        (0x8000_001d, 1) => cache(2, 1, 8, 128),
        (0x8000_001d, 2) => cache(3, 2, 8, 2048),
        (0x8000_001d, 3) => cache(3, 3, 16, 32768),
        _ => [0; 4],
    }
}
