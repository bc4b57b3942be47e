//! A section header table: names, indices, and the bytes that go behind a file's contents.

use std::collections::BTreeMap;
use std::ops::Range;

use goblin::elf::section_header::{SHT_NULL, SHT_STRTAB};
use object::elf::SectionHeader64;
use object::endian::{LittleEndian, U32, U64};
use object::pod::bytes_of;

/// A section that is to get a header. Links are by name, because indices come last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// SHT_*.
    pub kind: u32,
    /// SHF_*.
    pub flags: u64,
    /// Its address.
    pub address: u64,
    /// Its offset in the file.
    pub offset: u64,
    /// In bytes.
    pub size: u64,
    /// The name of the section that it refers to.
    pub link: Option<&'static str>,
    /// sh_info.
    pub info: u32,
    /// A power of two.
    pub align: u64,
    /// The size of its entries; 0 if it has none.
    pub entry: u64,
}

impl Section {
    /// The address of its end.
    pub fn end(&self) -> u64 {
        self.address.saturating_add(self.size)
    }
}

/// Sections by their index; what is between them is empty headers.
#[derive(Clone, Debug, Default)]
pub struct SectionTable {
    sections: BTreeMap<u16, Section>,
}

/// Where a table lies, for the ELF header.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    /// e_shoff.
    pub offset: u64,
    /// e_shnum.
    pub count: u16,
    /// e_shstrndx.
    pub names: u16,
}

impl SectionTable {
    /// Puts a section at an index that is free.
    pub fn insert(&mut self, index: u16, section: Section) {
        self.sections.insert(index, section);
    }

    /// The least index above `least` such that it and all above it are free.
    pub fn end(&self) -> u16 {
        self.sections.last_key_value().map_or(1, |(last, _)| last.saturating_add(1))
    }

    /// Whether no section has this index.
    pub fn is_free(&self, index: u16) -> bool {
        !self.sections.contains_key(&index)
    }

    /// The index of the first section of this name; 0 if there is none.
    pub fn index(&self, name: &str) -> u16 {
        let found = self.sections.iter().find(|(_, section)| section.name == name);
        found.map_or(0, |(index, _)| *index)
    }

    /// The addresses and indices of the loaded sections, ascending.
    pub fn by_address(&self) -> Vec<(Range<u64>, u16)> {
        let loaded = self.sections.iter().filter(|(_, section)| section.address != 0);
        let mut places: Vec<_> =
            loaded.map(|(index, section)| (section.address..section.end(), *index)).collect();
        places.sort_by_key(|(range, _)| range.start);
        places
    }

    /// A section that holds an address or ends there.
    pub fn touching(&self, address: u64) -> Option<&Section> {
        self.sections.values().find(|section| (section.address..=section.end()).contains(&address))
    }

    /// Appends names and headers to a file.
    pub fn append(mut self, file: &mut Vec<u8>) -> Position {
        let names = self.end();
        let mut strings = vec![0];
        let mut name_of = |name: &str| {
            let at = strings.len() as u32;
            strings.extend(name.as_bytes());
            strings.push(0);
            at
        };
        let offset = file.len() as u64;
        self.insert(names, plain(".shstrtab", SHT_STRTAB, offset, 0));
        let named: BTreeMap<u16, u32> =
            self.sections.iter().map(|(index, section)| (*index, name_of(&section.name))).collect();
        if let Some(section) = self.sections.get_mut(&names) {
            section.size = strings.len() as u64;
        }
        file.extend(&strings);
        file.resize(file.len().next_multiple_of(8), 0);
        let offset = file.len() as u64;
        for index in 0..=names {
            let header = match self.sections.get(&index) {
                Some(section) => self.header(section, named[&index]),
                None => empty(),
            };
            file.extend(bytes_of(&header));
        }
        Position { offset, count: names + 1, names }
    }

    fn header(&self, section: &Section, name: u32) -> SectionHeader64<LittleEndian> {
        let e = LittleEndian;
        let link = section.link.map_or(0, |link| self.index(link));
        SectionHeader64 {
            sh_name: U32::new(e, name),
            sh_type: U32::new(e, section.kind),
            sh_flags: U64::new(e, section.flags),
            sh_addr: U64::new(e, section.address),
            sh_offset: U64::new(e, section.offset),
            sh_size: U64::new(e, section.size),
            sh_link: U32::new(e, link.into()),
            sh_info: U32::new(e, section.info),
            sh_addralign: U64::new(e, section.align),
            sh_entsize: U64::new(e, section.entry),
        }
    }
}

/// A section that is not loaded.
pub fn plain(name: &str, kind: u32, offset: u64, size: u64) -> Section {
    Section {
        name: name.into(),
        kind,
        flags: 0,
        address: 0,
        offset,
        size,
        link: None,
        info: 0,
        align: 1,
        entry: 0,
    }
}

fn empty() -> SectionHeader64<LittleEndian> {
    let section = plain("", SHT_NULL, 0, 0);
    let header = SectionTable::default().header(&section, 0);
    SectionHeader64 { sh_addralign: U64::new(LittleEndian, 0), ..header }
}

/// Puts the position of its section headers into the header of a file of 64 bits, little-endian.
pub fn put_position(file: &mut [u8], position: Position) {
    // Elf64_Ehdr: e_shoff at 40; e_shentsize, e_shnum, e_shstrndx from 58 on.
    if let Some(header) = file.first_chunk_mut::<64>() {
        header[40..48].copy_from_slice(&position.offset.to_le_bytes());
        let size = size_of::<SectionHeader64<LittleEndian>>() as u16;
        header[58..60].copy_from_slice(&size.to_le_bytes());
        header[60..62].copy_from_slice(&position.count.to_le_bytes());
        header[62..64].copy_from_slice(&position.names.to_le_bytes());
    }
}
