//! What a loader takes for its own kind of file, and where such loaders lie (the psABIs; glibc's
//! shlib-versions and sysdeps/**/dl-cache.h; musl's manual). One table for all architectures,
//! because nothing here is more than a number or a name.

use goblin::elf::header;
use object::elf::{
    EF_LARCH_ABI_DOUBLE_FLOAT, EF_LARCH_ABI_MODIFIER_MASK, EF_MIPS_ABI2, EF_PPC64_ABI,
    EF_RISCV_FLOAT_ABI, EF_RISCV_FLOAT_ABI_DOUBLE, EM_LOONGARCH,
};

use super::Machine;
use super::row::Row;
use super::{aarch64, i386, x86_64};
use crate::ElfFile;

/// Class, byte order and machine of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Abi {
    /// EM_*.
    pub machine: u16,
    /// ELFCLASS64.
    pub is_64: bool,
    /// ELFDATA2LSB.
    pub is_little_endian: bool,
    /// The bits of e_flags by which loaders of the machine tell files apart.
    flavour: u32,
}

/// The flags by which a loader recognises its entries in `ld.so.cache`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheFlags {
    /// Both are taken;
    pub accepted: [u32; 2],
    /// this one ends the search.
    pub exact: u32,
}

impl Abi {
    /// That of a file.
    pub fn of(file: &ElfFile<'_>) -> Self {
        let header = file.header();
        let relevant = match header.e_machine {
            header::EM_PPC64 => EF_PPC64_ABI,
            header::EM_RISCV => EF_RISCV_FLOAT_ABI,
            EM_LOONGARCH => EF_LARCH_ABI_MODIFIER_MASK,
            header::EM_MIPS => EF_MIPS_ABI2,
            _ => 0,
        };
        Self {
            machine: header.e_machine,
            is_64: file.is_64(),
            is_little_endian: file.is_little_endian(),
            flavour: header.e_flags & relevant,
        }
    }

    /// Whether a loader of this kind loads such files. It passes over others where it finds them
    /// (elf/dl-load.c, `open_verify`; dl-machine.h, `elf_machine_matches_host`).
    pub fn accepts(&self, other: &Self) -> bool {
        let flavour = self.flavour == other.flavour
            || (self.machine == header::EM_PPC64 && (self.flavour == 0 || other.flavour == 0));
        self.machine == other.machine && self.is_64 == other.is_64 && flavour
    }

    /// As people call it.
    pub fn name(&self) -> &'static str {
        self.row().name
    }

    /// The entries of the cache that are for this; `loader` is the file name of the loader, by
    /// which the two ABIs of ARM are told apart.
    pub fn cache_flags(&self, loader: &[u8]) -> CacheFlags {
        const FLAG_ELF: u32 = 1;
        const FLAG_ELF_LIBC6: u32 = 3;
        const FLAG_ARM_LIBHF: u32 = 0x900;
        const FLAG_ARM_LIBSF: u32 = 0xb00;
        if self.machine == header::EM_ARM {
            let hard = loader.windows(5).any(|name| name == b"armhf");
            let own = if hard { FLAG_ARM_LIBHF } else { FLAG_ARM_LIBSF };
            return CacheFlags {
                accepted: [own | FLAG_ELF_LIBC6, FLAG_ELF_LIBC6],
                exact: FLAG_ELF_LIBC6,
            };
        }
        match self.row().flags {
            0 => CacheFlags { accepted: [FLAG_ELF, FLAG_ELF_LIBC6], exact: FLAG_ELF_LIBC6 },
            own => CacheFlags { accepted: [own | FLAG_ELF_LIBC6; 2], exact: own | FLAG_ELF_LIBC6 },
        }
    }

    /// Where glibc's loader lies; none if that is not known.
    pub fn glibc_loader(&self) -> Option<&'static str> {
        Some(self.row().glibc).filter(|path| !path.is_empty())
    }

    /// Where musl's loader lies.
    pub fn musl_loader(&self) -> Option<String> {
        let arch = self.row().musl;
        (!arch.is_empty()).then(|| format!("/lib/ld-musl-{arch}.so.1"))
    }

    /// How the names of its `glibc-hwcaps` subdirectories begin, before a number.
    pub fn hwcaps_prefix(&self) -> Option<&'static str> {
        Some(self.row().hwcaps).filter(|prefix| !prefix.is_empty())
    }

    /// The machine, if it is one whose code is understood.
    pub fn known(&self) -> Option<Machine> {
        Machine::of(self.machine, self.is_64)
    }

    fn row(&self) -> Row {
        let row = |name, flags, glibc, musl, hwcaps| Row { name, flags, glibc, musl, hwcaps };
        let double = |bits| self.flavour == bits;
        match (self.machine, self.is_64, self.is_little_endian) {
            (header::EM_X86_64, true, _) => x86_64::loader::ROW,
            (header::EM_X86_64, false, _) => x86_64::loader::ROW_X32,
            (header::EM_386, ..) => i386::loader::ROW,
            (header::EM_AARCH64, _, true) => aarch64::loader::ROW,
            (header::EM_AARCH64, ..) => aarch64::loader::ROW_BIG_ENDIAN,
            (header::EM_ARM, ..) => row("arm", 0, "/lib/ld-linux-armhf.so.3", "armhf", ""),
            (header::EM_PPC64, _, true) => {
                row("ppc64le", 0x500, "/lib64/ld64.so.2", "powerpc64le", "power")
            }
            (header::EM_PPC64, ..) => row("ppc64", 0x500, "/lib64/ld64.so.1", "powerpc64", "power"),
            (header::EM_PPC, ..) => row("ppc", 0, "/lib/ld.so.1", "powerpc", ""),
            (header::EM_S390, true, _) => row("s390x", 0x400, "/lib/ld64.so.1", "s390x", "z"),
            (header::EM_S390, ..) => row("s390", 0, "/lib/ld.so.1", "", ""),
            (header::EM_RISCV, true, _) if double(EF_RISCV_FLOAT_ABI_DOUBLE) => {
                row("riscv64", 0x1000, "/lib/ld-linux-riscv64-lp64d.so.1", "riscv64", "")
            }
            (header::EM_RISCV, true, _) => {
                row("riscv64", 0xf00, "/lib/ld-linux-riscv64-lp64.so.1", "riscv64-sf", "")
            }
            (EM_LOONGARCH, true, _) if double(EF_LARCH_ABI_DOUBLE_FLOAT) => row(
                "loongarch64",
                0x1200,
                "/lib64/ld-linux-loongarch-lp64d.so.1",
                "loongarch64",
                "",
            ),
            (EM_LOONGARCH, true, _) => {
                row("loongarch64", 0x1100, "/lib64/ld-linux-loongarch-lp64s.so.1", "", "")
            }
            (header::EM_MIPS, true, _) => row("mips64", 0x700, "/lib64/ld.so.1", "mips64", ""),
            (header::EM_MIPS, ..) if self.flavour == EF_MIPS_ABI2 => {
                row("mipsn32", 0x600, "/lib32/ld.so.1", "mipsn32", "")
            }
            (header::EM_MIPS, ..) => row("mips", 0, "/lib/ld.so.1", "mips", ""),
            (header::EM_SPARCV9, ..) => row("sparc64", 0x100, "/lib64/ld-linux.so.2", "", ""),
            _ => row("another architecture", 0, "", "", ""),
        }
    }
}
