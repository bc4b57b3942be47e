//! What an ELF file is for.

use goblin::elf::dynamic::{DF_1_PIE, DT_FLAGS_1, DT_SONAME};
use goblin::elf::header::{ET_CORE, ET_DYN, ET_EXEC, ET_REL};
use goblin::elf::program_header::{PT_DYNAMIC, PT_INTERP};
use serde::Serialize;
use statify_elf::{DynamicFacts, ElfFile};
use statify_format::manifest;

/// What an ELF file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A position-independent program with an interpreter.
    DynamicPie,
    /// A program with an interpreter, at fixed addresses.
    DynamicNonPie,
    /// A program without interpreter that relocates itself.
    StaticPie,
    /// A program without interpreter, at fixed addresses.
    Static,
    /// What an interpreter loads, and interpreters themselves.
    SharedLibrary,
    /// An object file for a linker, a kernel module.
    Relocatable,
    /// A core dump.
    Core,
    /// What statify made.
    Converted,
    /// Of a type of some system's own.
    Other,
    /// Its headers cannot be read.
    Damaged,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::DynamicPie,
        Self::DynamicNonPie,
        Self::StaticPie,
        Self::Static,
        Self::SharedLibrary,
        Self::Relocatable,
        Self::Core,
        Self::Converted,
        Self::Other,
        Self::Damaged,
    ];

    /// As people say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::DynamicPie => "dynamic PIE",
            Self::DynamicNonPie => "dynamic non-PIE",
            Self::StaticPie => "static-PIE",
            Self::Static => "static",
            Self::SharedLibrary => "shared library",
            Self::Relocatable => "relocatable",
            Self::Core => "core",
            Self::Converted => "converted",
            Self::Other => "other",
            Self::Damaged => "damaged",
        }
    }

    /// By the file's type, PT_INTERP and DF_1_PIE. Linkers before binutils 2.27 did not set DF_1_PIE:
    /// then a file with an interpreter and without DT_SONAME is a program.
    pub fn of(elf: &ElfFile<'_>, dynamic: Option<&DynamicFacts<'_>>) -> Self {
        if elf.note(manifest::NOTE_NAME, manifest::NOTE_TYPE).is_some() {
            return Self::Converted;
        }
        let interpreted = elf.of_type(PT_INTERP).next().is_some();
        let value = |tag| dynamic.and_then(|facts| facts.value(tag));
        let marked = value(DT_FLAGS_1).is_some_and(|flags| flags & DF_1_PIE != 0);
        match (elf.header().e_type, interpreted) {
            (ET_REL, _) => Self::Relocatable,
            (ET_CORE, _) => Self::Core,
            (ET_EXEC, true) => Self::DynamicNonPie,
            (ET_EXEC, false) => Self::Static,
            (ET_DYN, true) if marked || value(DT_SONAME).is_none() => Self::DynamicPie,
            (ET_DYN, false) if marked || elf.of_type(PT_DYNAMIC).next().is_none() => {
                Self::StaticPie
            }
            (ET_DYN, _) => Self::SharedLibrary,
            _ => Self::Other,
        }
    }

    /// Whether it is started rather than loaded or linked.
    pub fn is_program(self) -> bool {
        !matches!(self, Self::SharedLibrary | Self::Relocatable | Self::Core | Self::Other)
    }
}
