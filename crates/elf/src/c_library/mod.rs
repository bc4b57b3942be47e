//! The C libraries whose programs are converted, and in what their loaders differ. Everything else
//! is the same for all of them: what a loader has left in memory shows in captures.

pub mod glibc;
mod missing;
pub mod musl;

use crate::machine::Machine;
use crate::{DynamicFacts, ElfError, ElfFile};

pub use missing::MissingLibrary;

/// A C library with a loader that is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CLibrary {
    /// The GNU C library: the loader, `ld.so`, is a file of its own.
    Glibc,
    /// musl: loader and C library are one file.
    Musl,
}

impl CLibrary {
    /// The C library that a loader belongs to; `None` if it is none of them.
    pub fn of_loader(loader: &ElfFile<'_>) -> Result<Option<Self>, ElfError> {
        let dynamic = loader.dynamic()?;
        let soname = dynamic.as_ref().and_then(DynamicFacts::soname);
        if soname.is_some() && soname == loader.machine().map(Machine::loader_soname) {
            return Ok(Some(Self::Glibc));
        }
        Ok(loader.defines(&musl::LOADER_SYMBOLS).then_some(Self::Musl))
    }

    /// Whether libraries are bound early or late as the environment asks (LD_BIND_NOW). musl binds
    /// everything before the program starts, always.
    pub fn binds_on_request(self) -> bool {
        self == Self::Glibc
    }

    /// Whether the loader allocates with brk(2), and elsewhere if that fails. In an output the
    /// program break is not where it was at the conversion, so nothing may lie there.
    pub fn allocates_at_break(self) -> bool {
        self == Self::Musl
    }

    /// Whether the loader makes memory writable again that it has made read-only: glibc's does, to
    /// open a library that needs an executable stack (`__stack_prot`).
    pub fn rewrites_constants(self) -> bool {
        self == Self::Glibc
    }

    /// Whether the loader guards code whose file is marked so that branches lead to marked instructions only (PROT_BTI).
    /// musl's does not look at marks.
    pub fn heeds_branch_marks(self) -> bool {
        self == Self::Glibc
    }

    /// Whether what is in memory at the hand-off depends on the CPU. musl's loader never asks for it,
    /// nor does it know IFUNCs.
    pub fn chooses_for_cpu(self) -> bool {
        self == Self::Glibc
    }

    /// Whether code of others than the loader runs before the hand-off: IFUNC resolvers, after it has
    /// told the kernel where the thread's memory is.
    pub fn runs_resolvers(self) -> bool {
        self == Self::Glibc
    }

    /// Whether the C library itself does what AT_SECURE asks for, after the hand-off: musl reads the
    /// auxiliary vector again in `__init_libc`, and there opens the descriptors.
    pub fn heeds_secure_itself(self) -> bool {
        self == Self::Musl
    }

    /// Whether dlopen can be served with embedded files, so far.
    pub fn can_be_served(self) -> bool {
        self == Self::Glibc
    }

    /// The library that is missing, if that is what the loader's messages say.
    pub fn missing_library(self, messages: &str) -> Option<MissingLibrary> {
        match self {
            Self::Glibc => glibc::missing_library(messages),
            Self::Musl => musl::missing_library(messages),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_of_this_machine() {
        let own = std::fs::read("/proc/self/exe").expect("a program can read itself");
        let own = ElfFile::parse(&own).expect("it is an ELF file");
        assert_eq!(CLibrary::of_loader(&own), Ok(None));
        let loader = own.interpreter().expect("its headers are sound").expect("it is dynamic");
        let loader = std::fs::read(str::from_utf8(loader).expect("a plain path")).expect("a file");
        let loader = ElfFile::parse(&loader).expect("it is an ELF file");
        assert!(CLibrary::of_loader(&loader).expect("it is sound").is_some());
    }
}
