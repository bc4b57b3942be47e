//! The levels of CPUs by which compilers and loaders choose (x86-64 psABI, "Micro-Architecture Levels").

/// The psABI's levels, and one between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// x86-64: SSE2.
    V1,
    /// x86-64-v2: SSE4.2.
    V2,
    /// x86-64-v2 with AVX, whose registers are to be saved by who binds lazily.
    Avx,
    /// x86-64-v3: AVX2.
    V3,
    /// x86-64-v4: AVX-512.
    V4,
}

impl Level {
    /// All of them, ascending.
    pub const ALL: [Self; 5] = [Self::V1, Self::V2, Self::Avx, Self::V3, Self::V4];

    /// The psABI's own, ascending: those that compilers and directories are called by.
    pub const NAMED: [Self; 4] = [Self::V1, Self::V2, Self::V3, Self::V4];

    /// What glibc's loader says where the CPU has not the level that a file needs (sysdeps/x86/dl-prop.h,
    /// dl-get-cpu-features.c).
    pub const REFUSALS: [&str; 2] =
        ["CPU ISA level is lower than required", "CPU does not support x86-64-v"];

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

    /// The psABI's that is called so.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMED.into_iter().find(|level| level.name() == name)
    }

    /// How many of the psABI's are below it.
    pub const fn number(self) -> u32 {
        match self {
            Self::V1 => 0,
            Self::V2 | Self::Avx => 1,
            Self::V3 => 2,
            Self::V4 => 3,
        }
    }
}
