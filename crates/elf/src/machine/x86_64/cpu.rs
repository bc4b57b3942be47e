//! The CPUs that captures run on, as CPUID tells of them. The instruction traps (arch_prctl(2),
//! ARCH_SET_CPUID), so what the loader and IFUNC resolvers choose is dictated like all else: the
//! output is made for the least CPU, whatever the conversion's own one has.
//!
//! Numbers of leaves and bits: Intel SDM vol. 2, CPUID; AMD APM vol. 3, appendix E.

use statify_params::CpuFeatures;

use super::cpuid::{Leaf, NEHALEM, NEW_INTEL, OLD_INTEL, amd, intel};
use super::features::{AVX512CD, LAHF, LZCNT, features, prepared_features, unlike_features};
use super::here;
use super::levels::Level;
use super::vendor::Vendor;

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

/// What is prepared where a loader's choices cannot be made again: best first.
const PREPARED: [(Vendor, Level); 9] = [
    (Vendor::Intel, Level::V4),
    (Vendor::Amd, Level::V4),
    (Vendor::Intel, Level::V3),
    (Vendor::NewAmd, Level::V3),
    (Vendor::Amd, Level::V3),
    (Vendor::Intel, Level::Avx),
    (Vendor::Amd, Level::Avx),
    (Vendor::Intel, Level::V2),
    (Vendor::Amd, Level::V1),
];

/// The highest level of the CPU that runs this, by name.
pub fn level_here() -> &'static str {
    Level::here().name()
}

impl Level {
    /// The highest that the CPU has that runs this.
    pub fn here() -> Self {
        let own = Cpu::This.features();
        let mut levels = Self::ALL.into_iter().rev();
        levels.find(|&level| own.contains(&Cpu::Of(level).features())).unwrap_or(Self::V1)
    }
}

impl Cpu {
    /// For what outputs are made that run on all CPUs: the least that programs take, of which each may ask for more.
    pub fn floors() -> Vec<Self> {
        Level::ALL.map(Self::Of).to_vec()
    }

    /// What the second capture runs on: the same, since what CPUID says is compared otherwise.
    pub fn again(self) -> Self {
        self
    }

    /// The one that tells what depends on the CPU. `None` if this is the machine's, for which all is made.
    pub fn unlike(self) -> Option<Self> {
        match self {
            Self::Of(level) => Some(Self::Unlike(level)),
            _ => None,
        }
    }

    /// CPUs that differ in what the kernel says of them: none, nobody chooses by that.
    pub fn coded(self) -> Vec<Self> {
        Vec::new()
    }

    /// What the kernel says by which they differ: nothing.
    pub fn coded_bit(_: &[bool]) -> Option<u16> {
        None
    }

    /// Whether what is chosen on it is prepared for CPUs just like it: asking takes tens of CPUIDs, each of which may
    /// trap.
    pub fn is_prepared(self) -> bool {
        self == Self::This
    }

    /// What is prepared where choices cannot be made again: best first, none below this.
    pub fn prepared(self) -> Vec<Self> {
        let Self::Of(least) = self else { return Vec::new() };
        let better = PREPARED.into_iter().filter(|&(_, level)| level >= least);
        better.map(|(vendor, level)| Self::Prepared(vendor, level)).collect()
    }

    /// What it is called: a level, or family, model and stepping in hexadecimal.
    pub fn name(self) -> String {
        match self {
            Self::Of(level) | Self::Unlike(level) => level.name().to_owned(),
            Self::Prepared(Vendor::Intel, level) => format!("{} (Intel)", level.name()),
            Self::Prepared(Vendor::Amd, level) => format!("{} (AMD)", level.name()),
            Self::Prepared(Vendor::NewAmd, level) => format!("{} (AMD, ERMS)", level.name()),
            Self::This => format!("{:08x}", self.features().signature),
        }
    }

    /// As [`Self::name`], where it is the least of an output's.
    pub fn least_name(self) -> &'static str {
        match self {
            Self::Of(level) | Self::Unlike(level) | Self::Prepared(_, level) => level.name(),
            Self::This => "native",
        }
    }

    /// What an output for this CPU asks of others: nothing for the least of all.
    pub fn floor(self) -> CpuFeatures {
        if self == Self::Of(Level::V1) { CpuFeatures::default() } else { self.features() }
    }

    /// Entries of the auxiliary vector of other values than the kernel's: none, CPUID tells.
    pub fn auxv(self) -> Vec<(u64, u64)> {
        Vec::new()
    }

    /// What its registers make a C library keep, and in how many bytes: there are no such registers.
    pub fn kept(self) -> Vec<(u64, u8)> {
        Vec::new()
    }

    /// What CPUID answers for a leaf and a subleaf.
    pub(super) fn cpuid(self, leaf: u32, subleaf: u32) -> Leaf {
        match self {
            Self::This => here::this(leaf, subleaf),
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
            Self::This => return here::features(),
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

#[cfg(test)]
mod tests {
    use super::*;

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
