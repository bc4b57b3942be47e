//! What describes an ELF file, read from it piece by piece: headers, notes, the interpreter's path,
//! dynamic section and imports; of programs the section headers; of static ones and object files the
//! symbol table. A file that is
//! mapped instead ends the process by SIGBUS if somebody makes it shorter meanwhile; one that is read
//! whole may be of any size.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use goblin::elf::dynamic;
use goblin::elf::header::Header;
use goblin::elf::program_header::{PT_DYNAMIC, PT_INTERP, PT_NOTE};
use memmap2::{Advice, MmapMut, MmapOptions};

use super::symbols::{count_undefined, size_of_symbol};
use super::{DynamicFacts, ElfFile, PN_XNUM, page_down, page_up};
use crate::holes::LARGEST;

/// So much of every file is read to see what it is, in bytes.
const HEAD: u64 = 4096;
/// So much is read of a file at most, in bytes.
const MOST: u64 = 64 << 20;
/// So much is read of lists that do not tell their size, in bytes.
const LIST: u64 = 1 << 16;
/// What lies in front of this offset keeps its memory for the next file.
const KEPT: usize = 4 << 20;

/// Memory that stands for a file's bytes: those that describe it are in their places, all others
/// zero. Used again for one file after the other.
#[derive(Debug, Default)]
pub struct Excerpt {
    /// At least as long as the file. Only pages that were read into take memory.
    memory: Option<MmapMut>,
    /// What was read.
    filled: Vec<Range<usize>>,
}

/// One file's reading.
struct Reading<'m, 'f> {
    file: &'f File,
    len: u64,
    memory: &'m mut [u8],
    filled: &'m mut Vec<Range<usize>>,
    /// How much may be read yet, in bytes.
    left: u64,
}

impl Excerpt {
    /// No file's yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads what describes a file of `len` bytes, for all questions of this module but those for
    /// relocations and for symbols that the file defines. If it is no ELF file, its first 4096 bytes
    /// are there. Fails if it has become shorter.
    pub fn read<'m>(&'m mut self, file: &File, len: u64) -> io::Result<&'m [u8]> {
        let mut reading = self.begin(file, len)?;
        reading.describe()?;
        Ok(reading.memory)
    }

    /// Reads a file whole if it has no more than 64 MiB.
    pub fn read_whole<'m>(&'m mut self, file: &File, len: u64) -> io::Result<&'m [u8]> {
        let mut reading = self.begin(file, len)?;
        reading.fill(0, len)?;
        reading.describe()?;
        Ok(reading.memory)
    }

    fn begin<'m, 'f>(&'m mut self, file: &'f File, len: u64) -> io::Result<Reading<'m, 'f>> {
        let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
        // Of a larger one its beginning tells that it is no program.
        let size = usize::try_from(len.min(LARGEST)).map_err(too_large)?;
        self.clear();
        let memory = match self.memory.take() {
            Some(memory) if memory.len() >= size => memory,
            _ => reserve(size)?,
        };
        let memory = &mut self.memory.insert(memory)[..size];
        Ok(Reading { file, len, memory, filled: &mut self.filled, left: MOST })
    }

    /// Makes everything zero again.
    fn clear(&mut self) {
        let is_near = self.filled.iter().all(|range| range.end <= KEPT);
        match &mut self.memory {
            Some(memory) if is_near => {
                self.filled.iter().for_each(|range| memory[range.clone()].fill(0));
            }
            memory => *memory = None,
        }
        self.filled.clear();
    }
}

/// Memory that is zero, and not there as long as it is not written to.
fn reserve(size: usize) -> io::Result<MmapMut> {
    let memory = MmapOptions::new().len(size.max(KEPT)).no_reserve_swap().map_anon()?;
    // A huge page for each piece would be much; where there are none, the kernel says so.
    let _ = memory.advise(Advice::NoHugePage);
    Ok(memory)
}

impl Reading<'_, '_> {
    fn describe(&mut self) -> io::Result<()> {
        self.fill(0, HEAD)?;
        self.fill_headers()?;
        let Ok(elf) = ElfFile::parse_any(self.memory) else { return Ok(()) };
        let pieces: Vec<(u64, u64)> = elf
            .segments()
            .iter()
            .filter(|segment| matches!(segment.p_type, PT_INTERP | PT_NOTE | PT_DYNAMIC))
            .map(|segment| (segment.p_offset, segment.p_filesz))
            .collect();
        let sections = elf.section_table();
        self.fill_all(&pieces)?;
        self.fill_dynamic()?;
        let elf = ElfFile::parse_any(self.memory);
        if elf.as_ref().is_ok_and(|elf| elf.of_type(PT_INTERP).next().is_some()) {
            return self.fill_sections(sections);
        }
        if !elf.is_ok_and(|elf| elf.is_static_or_object()) {
            return Ok(());
        }
        self.fill(sections.0, sections.1)?;
        let symtab = ElfFile::parse_any(self.memory).ok().and_then(|elf| elf.symtab());
        match symtab {
            Some(table) => self.fill_all(&[table.symbols, table.strings]),
            None => Ok(()),
        }
    }

    /// The program headers, which need not follow the header.
    fn fill_headers(&mut self) -> io::Result<()> {
        let Ok(header) = goblin::elf::Elf::parse_header(self.memory) else { return Ok(()) };
        let Header { e_phoff, e_phnum, e_phentsize, e_shoff, e_shentsize, .. } = header;
        if e_phnum == PN_XNUM {
            // The first section header tells their number; the largest is read.
            self.fill(e_shoff, u64::from(e_shentsize))?;
            return self.fill(e_phoff, super::MOST_SEGMENTS as u64 * u64::from(e_phentsize));
        }
        self.fill(e_phoff, u64::from(e_phnum) * u64::from(e_phentsize))
    }

    /// The section headers, and the sections' names.
    fn fill_sections(&mut self, table: (u64, u64)) -> io::Result<()> {
        self.fill(table.0, table.1)?;
        let Ok(elf) = ElfFile::parse_any(self.memory) else { return Ok(()) };
        let names = elf.sections().get(usize::from(elf.header().e_shstrndx)).cloned();
        names.map_or(Ok(()), |names| self.fill(names.sh_offset, names.sh_size))
    }

    /// What the dynamic section leads to, in three steps.
    fn fill_dynamic(&mut self) -> io::Result<()> {
        let heads = self.places(|facts| {
            let table = |tag, len| place(facts, tag, len);
            [table(dynamic::DT_GNU_HASH, 16), table(dynamic::DT_HASH, 8)]
        });
        self.fill_all(&heads)?;
        let tables = self.places(|facts| {
            let symbols = u64::from(count_undefined(facts)) * size_of_symbol(facts.file()) as u64;
            let strings = facts.value(dynamic::DT_STRSZ).unwrap_or(LIST);
            [
                place(facts, dynamic::DT_SYMTAB, symbols),
                place(facts, dynamic::DT_STRTAB, strings),
                place(facts, dynamic::DT_VERNEED, LIST),
            ]
        });
        self.fill_all(&tables)
    }

    fn places<const N: usize>(
        &self,
        ask: impl Fn(&DynamicFacts<'_>) -> [Option<(u64, u64)>; N],
    ) -> Vec<(u64, u64)> {
        let dynamic = ElfFile::parse_any(self.memory).and_then(|elf| elf.dynamic());
        let dynamic = dynamic.ok().flatten();
        dynamic.iter().flat_map(ask).flatten().collect()
    }

    fn fill_all(&mut self, pieces: &[(u64, u64)]) -> io::Result<()> {
        pieces.iter().try_for_each(|&(offset, len)| self.fill(offset, len))
    }

    /// Reads the pages that hold `len` bytes from `offset` on, as far as they are in the file and
    /// not too many.
    fn fill(&mut self, offset: u64, len: u64) -> io::Result<()> {
        let there = self.len.min(self.memory.len() as u64);
        let end = page_up(offset.saturating_add(len)).min(there);
        let start = page_down(offset).min(end);
        let mut range = start as usize..end as usize;
        for filled in self.filled.iter() {
            if filled.contains(&range.start) {
                range.start = filled.end.min(range.end);
            }
        }
        let size = range.len() as u64;
        if range.is_empty() || size > self.left {
            return Ok(());
        }
        self.left -= size;
        self.filled.push(range.clone());
        let shorter = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::other("it became shorter while it was read"),
            _ => error,
        };
        let at = range.start as u64;
        self.file.read_exact_at(&mut self.memory[range], at).map_err(shorter)
    }
}

/// Where the table under a tag lies in the file, `len` bytes of it at most.
fn place(facts: &DynamicFacts<'_>, tag: u64, len: u64) -> Option<(u64, u64)> {
    let rest = facts.file().from(facts.value(tag)?)?;
    let offset = rest.as_ptr().addr() - facts.file().bytes().as_ptr().addr();
    Some((offset as u64, len.min(rest.len() as u64)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn written(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn nothing_of_the_last_file_is_left() {
        let own = File::open("/proc/self/exe").unwrap();
        let mut excerpt = Excerpt::new();
        let len = own.metadata().unwrap().len();
        assert!(excerpt.read(&own, len).unwrap().starts_with(b"\x7fELF"));
        let text = written(&[b'x'; 10]);
        assert_eq!(excerpt.read(&text, 10).unwrap(), [b'x'; 10]);
        let sparse = tempfile::tempfile().unwrap();
        sparse.set_len(len).unwrap();
        assert!(excerpt.read(&sparse, len).unwrap().iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_file_that_has_become_shorter_is_an_error() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        let error = Excerpt::new().read(&written(&bytes[..3000]), bytes.len() as u64).unwrap_err();
        assert_eq!(error.to_string(), "it became shorter while it was read");
    }

    #[test]
    fn no_memory_for_what_is_not_there() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        let sparse = written(&bytes[..64]);
        sparse.set_len(1 << 40).unwrap();
        let mut excerpt = Excerpt::new();
        let part = excerpt.read(&sparse, 1 << 40).unwrap();
        assert!(ElfFile::parse_any(part).is_ok());
        assert!(excerpt.filled.iter().map(Range::len).sum::<usize>() < 1 << 20);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn each_byte_is_the_file_s_or_zero(
            at in 0usize..2048,
            change in proptest::collection::vec(any::<u8>(), 1..16),
            len in 0usize..100_000,
        ) {
            let mut bytes = std::fs::read("/bin/true").unwrap();
            bytes[at..at + change.len()].copy_from_slice(&change);
            bytes.truncate(len.max(1));
            let mut excerpt = Excerpt::new();
            let part = excerpt.read(&written(&bytes), bytes.len() as u64).unwrap();
            prop_assert_eq!(part.len(), bytes.len());
            prop_assert!(part.iter().zip(&bytes).all(|(&got, &byte)| got == byte || got == 0));
            let head = bytes.len().min(HEAD as usize);
            prop_assert_eq!(&part[..head], &bytes[..head]);
        }
    }
}
