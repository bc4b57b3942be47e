//! The facts of an ELF file (gABI; LSB for what is GNU's), read with goblin from bytes that may be
//! anything: of any class, byte order and machine ([`ElfFile::parse_any`]), or of those that can be
//! converted ([`ElfFile::parse`]). Everything is read as a loader does, by program headers.

pub mod c_library;
mod dynamic;
pub mod encode;
#[cfg(any(test, fuzzing))]
mod everything;
mod excerpt;
mod functions;
pub mod holes;
mod imports;
pub mod machine;
mod notes;
mod pages;
mod property;
mod relocations;
mod sections;
mod symbols;
mod symtab;
mod versions;
mod words;

use std::ffi::CStr;
use std::ops::Range;

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::header::{self, Header};
use goblin::elf::note::{NT_GNU_ABI_TAG, NT_GNU_BUILD_ID};
use goblin::elf::program_header::{self, ProgramHeader};
use goblin::elf::section_header::SectionHeader;
use machine::NotHere;

pub use dynamic::DynamicFacts;
#[cfg(fuzzing)]
pub use everything::look_at_everything;
pub use excerpt::Excerpt;
pub use functions::Functions;
pub use notes::{Note, Notes};
pub use pages::{PAGE, PROT_EXEC, PROT_READ, PROT_WRITE, page_down, page_up};
pub use relocations::Relocation;
pub use symbols::{Symbol, SymbolTable};
pub use versions::{HIDDEN, NeededVersion, Version, Versions};
pub use words::{little_endian, word_mask};

/// In e_phnum: the number is the first section header's sh_info (gABI).
const PN_XNUM: u16 = 0xffff;
/// The first word of an NT_GNU_ABI_TAG note: the system is Linux.
const GNU_ABI_TAG_LINUX: u32 = 0;
/// The largest alignment that is believed, in bytes: what the block's position keeps.
const MOST_ALIGNED: u64 = 1 << 30;
/// More program headers than this are no file's; a core has one for each mapping (vm.max_map_count).
const MOST_SEGMENTS: usize = 1 << 18;
/// A longer PT_INTERP is refused by the kernel (PATH_MAX; fs/binfmt_elf.c), in bytes.
const LONGEST_INTERPRETER: u64 = 4096;
/// Names of symbols are not longer, in bytes.
const LONGEST_STRING: usize = 1 << 20;
/// More notes than this are not looked at: a core has some for each thread.
const MOST_NOTES: usize = 1 << 20;

/// The header and the program headers of an ELF file.
#[derive(Clone, Debug)]
pub struct ElfFile<'a> {
    bytes: &'a [u8],
    header: Header,
    context: Ctx,
    segments: Vec<ProgramHeader>,
}

/// Why bytes are not an ELF file that can be read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// No ELF magic.
    #[error("it is not an ELF file")]
    NotElf,
    /// It cannot be converted where this runs.
    #[error("{0}")]
    NotHere(#[from] NotHere),
    /// Nothing is known of its machine, given as e_machine and the bits of an address.
    #[error("it is for another architecture ({}), which is not supported yet", machine::describe(*.0, *.1))]
    Machine(u16, u8),
    /// A part of it lies outside of the file or contradicts another.
    #[error("its ELF structure is damaged or truncated")]
    Damaged,
}

/// A build-id note's contents.
pub type BuildId = Vec<u8>;

impl<'a> ElfFile<'a> {
    /// Reads the headers of a file that can be converted: for a [`Machine`] whose programs are converted here,
    /// little-endian, and what is to be loaded is there.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ElfError> {
        let file = Self::parse_any(bytes)?;
        file.known_machine()?.converts_here()?;
        file.sound()
    }

    /// Reads the headers of a file that could be converted where its [`machine::Machine`] is at hand, as [`Self::parse`]
    /// does where it is.
    pub fn parse_known(bytes: &'a [u8]) -> Result<Self, ElfError> {
        Self::parse_any(bytes)?.sound()
    }

    /// That what is to be loaded is there, and can be.
    fn sound(self) -> Result<Self, ElfError> {
        let machine = self.known_machine()?;
        let (file, bytes) = (&self, self.bytes);
        // Only what is loaded has segments.
        let is_loaded = matches!(file.header.e_type, header::ET_EXEC | header::ET_DYN);
        let damaged = !file.context.is_little_endian() || (is_loaded && file.segments.is_empty());
        let sound = file.loads().all(|load| {
            load.p_filesz <= load.p_memsz
                && load
                    .p_offset
                    .checked_add(load.p_filesz)
                    .is_some_and(|end| end <= bytes.len() as u64)
                && load
                    .p_vaddr
                    .checked_add(load.p_memsz)
                    .is_some_and(|end| end < machine.address_limit())
        }) && file.segments.iter().all(|segment| {
            segment.p_align <= 1
                || (segment.p_align.is_power_of_two() && segment.p_align <= MOST_ALIGNED)
        });
        if sound && !damaged { Ok(self) } else { Err(ElfError::Damaged) }
    }

    /// Reads the headers of any ELF file. What they say need not be in the file.
    pub fn parse_any(bytes: &'a [u8]) -> Result<Self, ElfError> {
        if bytes.get(..4) != Some(header::ELFMAG) {
            return Err(ElfError::NotElf);
        }
        let ident = bytes.get(..header::SIZEOF_IDENT).ok_or(ElfError::Damaged)?;
        let container = match ident[header::EI_CLASS] {
            header::ELFCLASS32 => Container::Little,
            header::ELFCLASS64 => Container::Big,
            _ => return Err(ElfError::Damaged),
        };
        let endian = match ident[header::EI_DATA] {
            header::ELFDATA2LSB => Endian::Little,
            header::ELFDATA2MSB => Endian::Big,
            _ => return Err(ElfError::Damaged),
        };
        let context = Ctx::new(container, endian);
        let header = goblin::elf::Elf::parse_header(bytes).map_err(|_| ElfError::Damaged)?;
        let mut count = usize::from(header.e_phnum);
        if header.e_phnum == PN_XNUM {
            let first = usize::try_from(header.e_shoff).map_err(|_| ElfError::Damaged)?;
            let mut sections = SectionHeader::parse(bytes, first, 1, context).unwrap_or_default();
            count = sections.pop().ok_or(ElfError::Damaged)?.sh_info as usize;
        }
        if count > MOST_SEGMENTS {
            return Err(ElfError::Damaged);
        }
        let size = ProgramHeader::size(context);
        let table = usize::try_from(header.e_phoff).map_err(|_| ElfError::Damaged)?;
        let end = count.checked_mul(size).and_then(|len| table.checked_add(len));
        let is_sized = usize::from(header.e_phentsize) == size;
        if count > 0 && (!is_sized || end.is_none_or(|end| end > bytes.len())) {
            return Err(ElfError::Damaged);
        }
        let segments = ProgramHeader::parse(bytes, table, count, context);
        let segments = segments.map_err(|_| ElfError::Damaged)?;
        Ok(Self { bytes, header, context, segments })
    }

    /// Whether addresses have 64 bits.
    pub fn is_64(&self) -> bool {
        self.context.is_big()
    }

    /// Whether the lowest byte comes first.
    pub fn is_little_endian(&self) -> bool {
        self.context.is_little_endian()
    }

    /// The whole file.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The number in the first two bytes, in the file's byte order; 0 if there are fewer.
    pub fn half(&self, bytes: &[u8]) -> u16 {
        let bytes = bytes.first_chunk().copied().unwrap_or_default();
        if self.is_little_endian() { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) }
    }

    /// The number in the first four bytes, likewise.
    pub fn word(&self, bytes: &[u8]) -> u32 {
        let bytes = bytes.first_chunk().copied().unwrap_or_default();
        if self.is_little_endian() { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
    }

    /// The number in the first eight bytes, or four in a file of 32 bits.
    pub fn address(&self, bytes: &[u8]) -> u64 {
        if !self.is_64() {
            return self.word(bytes).into();
        }
        let bytes = bytes.first_chunk().copied().unwrap_or_default();
        if self.is_little_endian() { u64::from_le_bytes(bytes) } else { u64::from_be_bytes(bytes) }
    }

    /// The size of an address, in bytes.
    pub fn address_size(&self) -> usize {
        if self.is_64() { 8 } else { 4 }
    }

    /// The ELF header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// All program headers.
    pub fn segments(&self) -> &[ProgramHeader] {
        &self.segments
    }

    /// Whether pages that belong to no segment lie between its segments.
    pub fn has_holes(&self) -> bool {
        let mut ranges: Vec<_> = self
            .loads()
            .map(|load| page_down(load.p_vaddr)..page_up(load.p_vaddr.saturating_add(load.p_memsz)))
            .collect();
        ranges.sort_unstable_by_key(|range| range.start);
        ranges.windows(2).any(|pair| pair[0].end < pair[1].start)
    }

    /// The PT_LOAD segments.
    pub fn loads(&self) -> impl Iterator<Item = &ProgramHeader> {
        self.of_type(program_header::PT_LOAD)
    }

    /// The segments of one type, PT_*.
    pub fn of_type(&self, kind: u32) -> impl Iterator<Item = &ProgramHeader> {
        self.segments.iter().filter(move |segment| segment.p_type == kind)
    }

    /// The PT_LOAD segments with what the file has of them, by file offset, none of them twice: headers of a
    /// damaged file may tell of the same bytes again and again.
    pub fn distinct_loads(&self) -> Vec<(&ProgramHeader, &'a [u8])> {
        let mut segments: Vec<_> =
            self.loads().filter_map(|load| Some((load, self.contents(load)?))).collect();
        segments.sort_by_key(|(load, _)| load.p_offset);
        let mut end = 0;
        segments.retain(|(load, bytes)| {
            let is_new = load.p_offset >= end;
            if is_new {
                end = load.p_offset + bytes.len() as u64;
            }
            is_new
        });
        segments
    }

    /// The bytes of a segment, as far as they are in the file.
    pub fn contents(&self, segment: &ProgramHeader) -> Option<&'a [u8]> {
        let start = usize::try_from(segment.p_offset).ok()?;
        self.bytes.get(start..start.checked_add(usize::try_from(segment.p_filesz).ok()?)?)
    }

    /// Whether memory stays writable and executable at once: a segment is, and PT_GNU_RELRO does not
    /// cover all of its pages.
    pub fn has_writable_code(&self) -> bool {
        const BOTH: u32 = program_header::PF_W | program_header::PF_X;
        let relro = self.of_type(program_header::PT_GNU_RELRO).next().map(|relro| {
            page_down(relro.p_vaddr)..page_down(relro.p_vaddr.saturating_add(relro.p_memsz))
        });
        self.loads().filter(|load| load.p_flags & BOTH == BOTH && load.p_memsz > 0).any(|load| {
            let pages = page_down(load.p_vaddr)..page_up(load.p_vaddr.saturating_add(load.p_memsz));
            relro.as_ref().is_none_or(|relro| relro.start > pages.start || relro.end < pages.end)
        })
    }

    /// PT_INTERP's path, without its NUL.
    pub fn interpreter(&self) -> Result<Option<&'a [u8]>, ElfError> {
        let Some(segment) = self.of_type(program_header::PT_INTERP).next() else {
            return Ok(None);
        };
        if segment.p_filesz > LONGEST_INTERPRETER {
            return Err(ElfError::Damaged);
        }
        let path = self.contents(segment).ok_or(ElfError::Damaged)?;
        let path = path.strip_suffix(b"\0").ok_or(ElfError::Damaged)?;
        if path.is_empty() || path.contains(&0) { Err(ElfError::Damaged) } else { Ok(Some(path)) }
    }

    /// The page-rounded addresses that the PT_LOAD segments span, before any bias.
    pub fn span(&self) -> Option<Range<u64>> {
        let start = self.loads().map(|load| page_down(load.p_vaddr)).min()?;
        let end =
            self.loads().map(|load| page_up(load.p_vaddr.saturating_add(load.p_memsz))).max()?;
        Some(start..end)
    }

    /// The largest alignment of a loaded or thread-local segment; at least a page.
    pub fn alignment(&self) -> u64 {
        let relevant = |segment: &&ProgramHeader| {
            matches!(segment.p_type, program_header::PT_LOAD | program_header::PT_TLS)
        };
        let aligns = self.segments.iter().filter(relevant).map(|segment| segment.p_align);
        aligns.filter(|align| align.is_power_of_two()).max().unwrap_or(PAGE).max(PAGE)
    }

    /// The alignment of its thread-local variables; at least a page.
    pub fn thread_alignment(&self) -> u64 {
        let aligns = self.of_type(program_header::PT_TLS).map(|segment| segment.p_align);
        aligns.filter(|align| align.is_power_of_two()).max().unwrap_or(PAGE).max(PAGE)
    }

    /// The address of the program headers once loaded, before any bias.
    pub fn header_table_address(&self) -> Option<u64> {
        let offset = self.header.e_phoff;
        let load = self.loads().find(|load| {
            load.p_offset <= offset && offset < load.p_offset.saturating_add(load.p_filesz)
        })?;
        load.p_vaddr.checked_add(offset - load.p_offset)
    }

    /// The build-id, from the PT_NOTE segments.
    pub fn build_id(&self) -> Option<BuildId> {
        self.note(b"GNU\0", NT_GNU_BUILD_ID).map(<[u8]>::to_vec)
    }

    /// The oldest Linux that the file says it runs on: major, minor, patch level (LSB, .note.ABI-tag).
    pub fn least_kernel(&self) -> Option<[u32; 3]> {
        let words = self.note(b"GNU\0", NT_GNU_ABI_TAG)?.as_chunks::<4>().0;
        let [system, version @ ..] = words.first_chunk::<4>()?.map(|word| self.word(&word));
        (system == GNU_ABI_TAG_LINUX).then_some(version)
    }

    /// The contents of the first note of this name (with its NUL) and type.
    pub fn note(&self, name: &[u8], kind: u32) -> Option<&'a [u8]> {
        let mut notes = self.notes();
        notes.find(|note| note.name == name && note.kind == kind).map(|note| note.contents)
    }

    /// The notes of all PT_NOTE segments.
    pub fn notes(&self) -> impl Iterator<Item = Note<'a>> {
        let segments = self.of_type(program_header::PT_NOTE).flat_map(|segment| {
            let align = if segment.p_align == 8 { 8 } else { 4 };
            Notes::new(self.contents(segment).unwrap_or_default(), align, self.is_little_endian())
        });
        segments.take(MOST_NOTES)
    }

    /// The dynamic section.
    pub fn dynamic(&self) -> Result<Option<DynamicFacts<'a>>, ElfError> {
        let Some(segment) = self.of_type(program_header::PT_DYNAMIC).next() else {
            return Ok(None);
        };
        let bytes = self.contents(segment).ok_or(ElfError::Damaged)?;
        Ok(Some(DynamicFacts::read(self.clone(), bytes)))
    }

    /// Whether its dynamic symbol table defines functions with all of these names.
    pub fn defines(&self, names: &[&str]) -> bool {
        let Ok(Some(dynamic)) = self.dynamic() else {
            return false;
        };
        let table = dynamic.symbols();
        let functions = table.iter().filter(|symbol| symbol.is_defined() && symbol.is_function());
        let functions: Vec<&[u8]> =
            functions.filter_map(|symbol| dynamic.string(symbol.name.into())).collect();
        names.iter().all(|name| functions.contains(&name.as_bytes()))
    }

    /// The file's bytes at these addresses (before any bias).
    pub fn at(&self, address: u64, len: u64) -> Option<&'a [u8]> {
        self.from(address)?.get(..usize::try_from(len).ok()?)
    }

    /// The file's bytes from this address (before any bias) to the end of its segment.
    pub fn from(&self, address: u64) -> Option<&'a [u8]> {
        let within = |load: &&ProgramHeader| {
            address.checked_sub(load.p_vaddr).is_some_and(|offset| offset < load.p_filesz)
        };
        let load = self.loads().find(within)?;
        let start = usize::try_from(load.p_offset).ok()?;
        let end = start.checked_add(usize::try_from(load.p_filesz).ok()?)?.min(self.bytes.len());
        self.bytes.get(start..end)?.get(usize::try_from(address - load.p_vaddr).ok()?..)
    }

    /// The NUL-terminated string at this address; cut if it is longer than any symbol's name.
    fn string_at(&self, address: u64) -> Option<&'a [u8]> {
        let bytes = self.from(address)?;
        let bytes = &bytes[..bytes.len().min(LONGEST_STRING)];
        Some(CStr::from_bytes_until_nul(bytes).map_or(bytes, CStr::to_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Vec<u8> {
        std::fs::read("/proc/self/exe").unwrap()
    }

    #[test]
    fn facts_of_this_test_program() {
        let bytes = own();
        let file = ElfFile::parse(&bytes).unwrap();
        assert!(file.interpreter().unwrap().unwrap().starts_with(b"/lib"));
        assert!(file.dynamic().unwrap().unwrap().needed().contains(&&b"libc.so.6"[..]));
        assert!(file.header_table_address().is_some());
    }

    #[test]
    fn any_damage_is_an_error_or_a_value_but_never_a_panic() {
        let bytes = own();
        let look = |bytes: &[u8]| {
            if let Ok(file) = ElfFile::parse(bytes) {
                let _ = (file.interpreter(), file.build_id(), file.span());
                if let Ok(Some(dynamic)) = file.dynamic() {
                    let _ = (
                        dynamic.needed(),
                        dynamic.soname(),
                        dynamic.jump_slots(),
                        dynamic.search_paths(),
                    );
                }
            }
        };
        let head = &bytes[..8192];
        for len in 0..1024 {
            look(&head[..len]);
        }
        for at in 0..1024 {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = head.to_vec();
                changed[at] = value;
                look(&changed);
            }
        }
    }
}
