//! The CPUs that captures run on, as CPUID tells of them. The instruction traps (arch_prctl(2),
//! ARCH_SET_CPUID), so what the loader and IFUNC resolvers choose is dictated like all else: the
//! output is made for the least CPU, whatever the conversion's own one has.
//!
//! Numbers of leaves and bits: Intel SDM vol. 2, CPUID; AMD APM vol. 3, appendix E. Levels:
//! x86-64 psABI, "Micro-Architecture Levels".

use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use std::fmt;

use statify_params::CpuFeatures;

/// eax, ebx, ecx, edx.
pub type Registers = [u32; 4];

/// What CPUID answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cpu {
    /// A CPU of this level and with nothing more; the same on every machine.
    Of(Level),
    /// One that differs from `Of` the same level in all that a library could see of it, but for the
    /// level: the loader searches the same directories on both.
    Unlike(Level),
    /// One of this vendor and level by which the loader does not choose directories to search.
    Prepared(Vendor, Level),
    /// The one that runs the capture, its number (APIC id) apart.
    This,
}

/// Whose CPU: C libraries ask them for the sizes of their caches in different ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// GenuineIntel.
    Intel,
    /// AuthenticAMD.
    Amd,
    /// The same with ERMS, as from Zen 3 on.
    NewAmd,
}

/// The psABI's levels, and one between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// x86-64: SSE2.
    V1,
    /// x86-64-v2: SSE4.2.
    V2,
    /// The same with AVX, whose registers are to be saved by who binds lazily.
    Avx,
    /// x86-64-v3: AVX2.
    V3,
    /// x86-64-v4: AVX-512.
    V4,
}

impl Level {
    /// All of them, ascending.
    pub const ALL: [Self; 5] = [Self::V1, Self::V2, Self::Avx, Self::V3, Self::V4];

    /// The highest one that the CPU has that runs this, and that the kernel lets programs use.
    pub fn of_this_cpu() -> Self {
        let has = Cpu::This.features();
        let levels = Self::ALL.into_iter().rev();
        let found = levels.into_iter().find(|level| has.contains(&Cpu::Of(*level).features()));
        found.unwrap_or(Self::V1)
    }

    /// As compilers call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "x86-64",
            Self::V2 => "x86-64-v2",
            Self::Avx => "x86-64-v2+avx",
            Self::V3 => "x86-64-v3",
            Self::V4 => "x86-64-v4",
        }
    }
}

/// Which CPU it is, as CPUID tells of the one that runs this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuModel {
    /// Who made it, in the twelve letters of leaf 0.
    pub vendor: String,
    /// Its family, extended as the vendors' manuals say.
    pub family: u32,
    /// Its model, extended as the vendors' manuals say.
    pub model: u32,
    /// Its stepping.
    pub stepping: u32,
}

impl CpuModel {
    /// That of the CPU that runs this.
    pub fn of_this_cpu() -> Self {
        Self::new(this(0, 0), this(1, 0)[0])
    }

    /// From leaf 0, and from eax of leaf 1.
    fn new([_, ebx, ecx, edx]: Registers, signature: u32) -> Self {
        let letters = [ebx, edx, ecx].map(u32::to_le_bytes).concat();
        let field = |from: u32, bits: u32| signature >> from & ((1 << bits) - 1);
        let (family, model) = (field(8, 4), field(4, 4));
        Self {
            vendor: String::from_utf8_lossy(&letters).into_owned(),
            family: if family == 0xf { family + field(20, 8) } else { family },
            model: if matches!(family, 0x6 | 0xf) { field(16, 4) << 4 | model } else { model },
            stepping: field(0, 4),
        }
    }
}

impl fmt::Display for CpuModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vendor, family, model, stepping } = self;
        write!(f, "{vendor}, family {family}, model {model}, stepping {stepping}")
    }
}

// Leaf 1, edx: FPU, TSC, MSR, CX8, SEP, CMOV, CLFSH, MMX, FXSR, SSE, SSE2.
const BASE_1_EDX: u32 =
    1 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 11 | 1 << 15 | 1 << 19 | 7 << 23 | 1 << 26;
// Leaf 1, ecx: SSE3, SSSE3, CX16, SSE4.1, SSE4.2, POPCNT.
const V2_1_ECX: u32 = 1 | 1 << 9 | 1 << 13 | 1 << 19 | 1 << 20 | 1 << 23;
// XSAVE, OSXSAVE, AVX.
const AVX_1_ECX: u32 = 1 << 26 | 1 << 27 | 1 << 28;
// FMA, MOVBE, F16C.
const V3_1_ECX: u32 = 1 << 12 | 1 << 22 | 1 << 29;
const OSXSAVE: u32 = 1 << 27;
const MOVBE: u32 = 1 << 22;
const ERMS: u32 = 1 << 9;
// Leaf 7, ebx: BMI1, AVX2, BMI2.
const V3_7_EBX: u32 = 1 << 3 | 1 << 5 | 1 << 8;
// AVX512F, AVX512DQ, AVX512CD, AVX512BW, AVX512VL; and ERMS, which all such CPUs have.
const V4_7_EBX: u32 = 1 << 16 | 1 << 17 | 1 << 28 | 1 << 30 | 1 << 31 | ERMS;
const AVX512CD: u32 = 1 << 28;
// Leaf 7: shadow stacks (ecx) and indirect branch tracking (edx) are the kernel's to switch on.
const SHADOW_STACK: u32 = 1 << 7;
const BRANCH_TRACKING: u32 = 1 << 20;
// Leaf 0x80000001, ecx: LAHF and SAHF in 64-bit mode, LZCNT; edx: SYSCALL, NX, LM.
const LAHF: u32 = 1;
const LZCNT: u32 = 1 << 5;
const LONG_EDX: u32 = 1 << 11 | 1 << 20 | 1 << 29;

/// Features by leaf.
struct Features {
    basic_ecx: u32,
    structured: [u32; 3],
    extended_ecx: u32,
}

fn features(level: Level) -> Features {
    let from = |least: Level, bits: u32| if level >= least { bits } else { 0 };
    Features {
        basic_ecx: from(Level::V2, V2_1_ECX)
            | from(Level::Avx, AVX_1_ECX)
            | from(Level::V3, V3_1_ECX),
        structured: [from(Level::V3, V3_7_EBX) | from(Level::V4, V4_7_EBX), 0, 0],
        extended_ecx: from(Level::V2, LAHF) | from(Level::V3, LZCNT),
    }
}

/// All of Intel's CPUs with AVX2 have ERMS, and the newer ones of AMD's.
fn prepared_features(vendor: Vendor, level: Level) -> Features {
    let mut features = features(level);
    if vendor != Vendor::Amd && level >= Level::V3 {
        features.structured[0] |= ERMS;
    }
    features
}

/// All features but one that the next level needs.
fn unlike_features(level: Level) -> Features {
    let without = |is_next: bool, bit: u32| if is_next { !bit } else { !0 };
    Features {
        basic_ecx: without(matches!(level, Level::V2 | Level::Avx), MOVBE),
        structured: [without(level == Level::V3, AVX512CD), !SHADOW_STACK, !BRANCH_TRACKING],
        extended_ecx: without(level == Level::V1, LAHF),
    }
}

impl Cpu {
    /// What CPUID answers for a leaf and a subleaf.
    pub fn cpuid(self, leaf: u32, subleaf: u32) -> Registers {
        match self {
            Self::This => this(leaf, subleaf),
            Self::Of(level) => intel(OLD_INTEL, &features(level), leaf, subleaf),
            Self::Unlike(level) => amd(&unlike_features(level), leaf, subleaf),
            Self::Prepared(vendor, level) => {
                // glibc's subdirectories: glibc-hwcaps/x86-64-v* (from 2.33 on), haswell and avx512_1
                // (before); each needs one of these, by which no function is chosen there.
                let mut features = prepared_features(vendor, level);
                features.extended_ecx &= !(LAHF | LZCNT);
                features.structured[0] &= !AVX512CD;
                let intels = if level > Level::V2 { NEW_INTEL } else { NEHALEM };
                match vendor {
                    Vendor::Intel => intel(intels, &features, leaf, subleaf),
                    Vendor::Amd | Vendor::NewAmd => amd(&features, leaf, subleaf),
                }
            }
        }
    }

    /// What the starter compares the running CPU with: of a level, what defines it.
    pub fn features(self) -> CpuFeatures {
        let (level, vendor, features) = match self {
            Self::Of(level) | Self::Unlike(level) => (level, 0, features(level)),
            Self::Prepared(vendor, level) => {
                let make = match vendor {
                    Vendor::Intel => statify_params::CPU_INTEL,
                    Vendor::Amd | Vendor::NewAmd => statify_params::CPU_AMD,
                };
                (level, make, prepared_features(vendor, level))
            }
            Self::This => return features_here(),
        };
        let lzcnt = if features.extended_ecx & LZCNT != 0 { statify_params::CPU_LZCNT } else { 0 };
        CpuFeatures {
            signature: 0,
            basic: [features.basic_ecx, 0],
            structured: features.structured,
            xcr0: match level {
                Level::V1 | Level::V2 => 0,
                Level::Avx | Level::V3 => 0b111,
                Level::V4 => 0b1110_0111,
            },
            more: lzcnt | vendor,
        }
    }
}

/// As the starter asks.
fn features_here() -> CpuFeatures {
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

/// The real one, less what differs between the CPUs of one machine.
fn this(leaf: u32, subleaf: u32) -> Registers {
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

/// Family 15, model 4: libraries have no preferences for it.
const OLD_INTEL: u32 = 0x0000_0f41;
/// Family 6, model 26: the first with SSE4.2.
const NEHALEM: u32 = 0x0001_06a5;
/// Family 6, model 85.
const NEW_INTEL: u32 = 0x0005_0654;

/// A CPU of Intel's: 32 KiB, 256 KiB and 8 MiB of cache.
fn intel(signature: u32, features: &Features, leaf: u32, subleaf: u32) -> Registers {
    // "GenuineIntel" in the order ebx, edx, ecx.
    const VENDOR: Registers = [0xd, 0x756e_6547, 0x6c65_746e, 0x4965_6e69];
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
const fn cache(kind: u32, level: u32, ways: u32, sets: u32) -> Registers {
    [kind | level << 5 | 1 << 8, 63 | (ways - 1) << 22, sets - 1, 0]
}

/// Leaf 0xd: room for every state up to PKRU in the standard form, so that no CPU needs more.
fn state(subleaf: u32, compaction: u32) -> Registers {
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
fn amd(features: &Features, leaf: u32, subleaf: u32) -> Registers {
    // "AuthenticAMD" in the order ebx, edx, ecx.
    const VENDOR: Registers = [0x10, 0x6874_7541, 0x444d_4163, 0x6974_6e65];
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

/// The first eight bytes that CPUID leaf 1 leaves in memory (eax, ebx) on the CPU that runs this.
/// Their last byte is the CPU's APIC id, by which captures on two CPUs differ where the
/// instruction cannot be made to trap.
pub fn cpu_identity() -> [u8; 8] {
    let leaf = __cpuid(1);
    (u64::from(leaf.eax) | u64::from(leaf.ebx) << 32).to_le_bytes()
}

/// The same without the APIC id.
pub fn without_apic_id(mut identity: [u8; 8]) -> [u8; 8] {
    identity[7] = 0;
    identity
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_as_the_manuals_number_them() {
        for (signature, family, model, stepping) in [
            (OLD_INTEL, 15, 4, 1),
            (NEHALEM, 6, 26, 5),
            (NEW_INTEL, 6, 85, 4),
            (0x00a2_0f12, 25, 33, 2),
        ] {
            let found = CpuModel::new(amd(&features(Level::V1), 0, 0), signature);
            let vendor = "AuthenticAMD".into();
            assert_eq!(found, CpuModel { vendor, family, model, stepping }, "{signature:#x}");
        }
        assert!(CpuModel::of_this_cpu().family > 0);
    }

    #[test]
    fn levels_contain_one_another() {
        for pair in Level::ALL.windows(2) {
            let (less, more) = (Cpu::Of(pair[0]).features(), Cpu::Of(pair[1]).features());
            assert!(more.contains(&less), "{} in {}", pair[0].name(), pair[1].name());
            assert!(!less.contains(&more));
        }
    }

    #[test]
    fn the_other_cpu_differs_in_what_a_library_keeps() {
        let (one, other) = (Cpu::Of(Level::V1), Cpu::Unlike(Level::V1));
        for leaf in [0, 1, 7, 0xd, 0x8000_0001] {
            assert_ne!(one.cpuid(leaf, 0), other.cpuid(leaf, 0), "{leaf:#x}");
        }
        assert_eq!(other.cpuid(0x8000_0001, 0)[2] & LAHF, 0);
    }
}
