//! What a loader reads of a file that it is about to load, kept so that it is read once however
//! many programs need it.

use goblin::elf::dynamic::{DF_1_PIE, DF_TEXTREL, DT_FLAGS, DT_FLAGS_1, DT_NEEDED, DT_TEXTREL};
use goblin::elf::header::{EI_OSABI, ELFOSABI_GNU, ELFOSABI_NONE};
use goblin::elf::header::{ET_CORE, ET_DYN, ET_EXEC, ET_REL, EV_CURRENT};
use goblin::elf::program_header::{PF_W, PF_X, PT_DYNAMIC, ProgramHeader};
use statify_elf::machine::Abi;
use statify_elf::{DynamicFacts, ElfError, ElfFile};
use statify_format::manifest;

const DT_AUXILIARY: u64 = 0x7fff_fffd;
const DT_FILTER: u64 = 0x7fff_ffff;
const DF_1_NODEFLIB: u64 = 0x800;
/// No name of a library is longer, in bytes.
const LONGEST: usize = libc::PATH_MAX as usize;
/// Nor of a version, in characters; glibc's longest has 18.
const LONGEST_VERSION: usize = 256;
/// No file that means well has more: such limits keep one that does not from costing much.
const MOST_DEPENDENCIES: usize = 4096;
const MOST_VERSIONS: usize = 1 << 16;
const LONGEST_PATH_LIST: usize = 1 << 16;

/// A name, or a list of directories, as it stands in the file.
pub type Name = Box<[u8]>;

/// Why a file is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// DT_NEEDED.
    Needed,
    /// DT_AUXILIARY: loaded if it is there, and searched for symbols before the file that names it.
    Auxiliary,
    /// DT_FILTER: the same, but it must be there.
    Filter,
    /// `/etc/ld.so.preload`: loaded if it is there.
    Preload,
}

/// A version that a file wants of a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedVersion {
    /// The library, as in DT_NEEDED.
    pub library: Name,
    /// The version.
    pub name: Name,
    /// The library may lack it.
    pub weak: bool,
}

/// Why glibc's loader refuses a file, in its words (elf/dl-load.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// When it reads the headers; it names the file.
    Header(&'static str),
    /// When it maps the file; it names what was asked for.
    Mapping(&'static str),
    /// It does not say anything: it dies when it reads what is beyond the file's end.
    Truncated,
}

/// The facts of a file.
#[derive(Clone, Debug)]
pub struct Library {
    /// `st_dev` and `st_ino`.
    pub id: (u64, u64),
    /// What it is for.
    pub abi: Abi,
    /// ET_*.
    pub elf_type: u16,
    /// Why a loader refuses it as a library.
    pub flaw: Option<Flaw>,
    /// PT_INTERP.
    pub interpreter: Option<Name>,
    /// It has a PT_DYNAMIC.
    pub is_dynamic: bool,
    /// DF_1_PIE.
    pub is_pie: bool,
    /// It carries statify's manifest.
    pub is_converted: bool,
    /// DT_SONAME.
    pub soname: Option<Name>,
    /// What it asks for, in order.
    pub dependencies: Vec<(Kind, Name)>,
    /// DT_RPATH, unless there is a DT_RUNPATH.
    pub rpath: Option<Name>,
    /// DT_RUNPATH.
    pub runpath: Option<Name>,
    /// DF_1_NODEFLIB: nothing from the default directories.
    pub avoids_default_directories: bool,
    /// DT_VERNEED.
    pub wanted_versions: Vec<WantedVersion>,
    /// DT_VERDEF, ascending; `None` if there is none.
    pub defined_versions: Option<Vec<Name>>,
    /// A segment is writable and executable.
    pub has_writable_code: bool,
    /// Its code is relocated: writable while glibc's loader does it, and for good with musl's.
    pub has_text_relocations: bool,
}

impl Library {
    /// Reads a file's bytes.
    pub fn parse(bytes: &[u8], id: (u64, u64)) -> Result<Self, ElfError> {
        let file = ElfFile::parse_any(bytes)?;
        let elf_type = file.header().e_type;
        let mut library = Self {
            id,
            abi: Abi::of(&file),
            elf_type,
            flaw: None,
            interpreter: file.interpreter().ok().flatten().and_then(name),
            is_dynamic: false,
            is_pie: false,
            is_converted: file.note(manifest::NOTE_NAME, manifest::NOTE_TYPE).is_some(),
            soname: None,
            dependencies: Vec::new(),
            rpath: None,
            runpath: None,
            avoids_default_directories: false,
            wanted_versions: Vec::new(),
            defined_versions: None,
            has_writable_code: file.loads().any(|load| load.p_flags & (PF_W | PF_X) == PF_W | PF_X),
            has_text_relocations: false,
        };
        // Files that hold debugging information have one of size zero.
        let has_dynamic =
            file.segments().iter().any(|part| part.p_type == PT_DYNAMIC && part.p_filesz > 0);
        if let Ok(Some(dynamic)) = file.dynamic()
            && has_dynamic
        {
            library.is_dynamic = true;
            library.read_dynamic(&dynamic);
        }
        library.flaw = library.find_flaw(&file);
        Ok(library)
    }

    fn read_dynamic(&mut self, dynamic: &DynamicFacts<'_>) {
        let flags = dynamic.value(DT_FLAGS_1).unwrap_or_default();
        self.is_pie = flags & DF_1_PIE != 0;
        self.avoids_default_directories = flags & DF_1_NODEFLIB != 0;
        let text = dynamic.value(DT_FLAGS).unwrap_or_default() & DF_TEXTREL != 0;
        self.has_text_relocations = text || dynamic.value(DT_TEXTREL).is_some();
        self.soname = dynamic.soname().and_then(name);
        let list = |list: &&[u8]| list.len() <= LONGEST_PATH_LIST;
        self.runpath = dynamic.runpath().filter(list).map(Into::into);
        let rpath = dynamic.rpath().filter(list);
        self.rpath = rpath.filter(|_| self.runpath.is_none()).map(Into::into);
        for &(tag, value) in dynamic.entries() {
            let kind = match tag {
                DT_NEEDED => Kind::Needed,
                // Tags are signed numbers in 32-bit files, but these two are the same there.
                DT_AUXILIARY => Kind::Auxiliary,
                DT_FILTER => Kind::Filter,
                _ => continue,
            };
            if self.dependencies.len() == MOST_DEPENDENCIES {
                break;
            }
            self.dependencies.extend(dynamic.string(value).and_then(name).map(|name| (kind, name)));
        }
        let versions = dynamic.versions();
        let wanted = versions.needed().iter().filter_map(|need| {
            let (library, name) = (name(need.library)?, version(need.name)?);
            Some(WantedVersion { library, name, weak: need.weak })
        });
        self.wanted_versions = wanted.take(MOST_VERSIONS).collect();
        if !versions.defined().is_empty() {
            let defined = versions.defined().iter().take(MOST_VERSIONS);
            let mut defined: Vec<Name> = defined.filter_map(|own| version(own.name)).collect();
            defined.sort_unstable();
            self.defined_versions = Some(defined);
        }
    }

    /// In the order of the loader's questions.
    fn find_flaw(&self, file: &ElfFile<'_>) -> Option<Flaw> {
        let header = file.header();
        let is_there = |part: &ProgramHeader| file.contents(part).is_some();
        let mut dynamic = file.segments().iter().filter(|part| part.p_type == PT_DYNAMIC);
        Some(if !matches!(header.e_ident[EI_OSABI], ELFOSABI_NONE | ELFOSABI_GNU) {
            Flaw::Header("ELF file OS ABI invalid")
        } else if header.e_version != u32::from(EV_CURRENT) {
            Flaw::Header("ELF file version does not match current one")
        } else if !matches!(self.elf_type, ET_DYN | ET_EXEC) {
            Flaw::Header("only ET_DYN and ET_EXEC can be loaded")
        } else if file.loads().next().is_none() {
            Flaw::Mapping("object file has no loadable segments")
        } else if !dynamic.all(is_there) {
            Flaw::Truncated
        } else if !self.is_dynamic {
            Flaw::Mapping("object file has no dynamic section")
        } else if self.elf_type == ET_EXEC {
            Flaw::Mapping("cannot dynamically load executable")
        } else if self.is_pie {
            Flaw::Mapping("cannot dynamically load position-independent executable")
        } else {
            return None;
        })
    }

    /// Whether it defines a version; true if it has no versions at all.
    pub fn defines_version(&self, wanted: &[u8]) -> bool {
        let defined = self.defined_versions.as_ref();
        defined.is_none_or(|all| all.binary_search_by(|own| (**own).cmp(wanted)).is_ok())
    }

    /// Whether a loader does anything for it: a program with an interpreter, or a library.
    pub fn is_loaded_dynamically(&self) -> bool {
        match self.elf_type {
            ET_REL | ET_CORE => false,
            _ => self.interpreter.is_some() || (self.is_dynamic && !self.is_pie),
        }
    }
}

fn name(text: &[u8]) -> Option<Name> {
    (text.len() <= LONGEST).then(|| text.into())
}

fn version(text: &[u8]) -> Option<Name> {
    (text.len() <= LONGEST_VERSION).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
            len in any::<prop::sample::Index>(),
        ) {
            static PROGRAM: std::sync::LazyLock<Vec<u8>> =
                std::sync::LazyLock::new(|| std::fs::read("/bin/true").unwrap());
            let mut bytes = PROGRAM.clone();
            for (at, value) in changes {
                let at = at.index(bytes.len().min(4096));
                bytes[at] = value;
            }
            bytes.truncate(len.index(bytes.len() + 1));
            if let Ok(library) = Library::parse(&bytes, (0, 0)) {
                let _ = library.defines_version(b"GLIBC_2.2.5");
            }
        }
    }
}
