//! A section header table: names, indices, and the bytes that go behind a file's contents.

use std::collections::BTreeMap;
use std::ops::Range;

use goblin::elf::section_header::{SHT_STRTAB, SectionHeader};
use statify_elf::encode::{self, Sizes};

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
    /// The class of the file.
    is_64: bool,
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

    /// Appends names and headers to a file, whose addresses have 64 bits or 32.
    pub fn append(mut self, file: &mut Vec<u8>, is_64: bool) -> Position {
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
            let section = self.sections.get(&index);
            let header = section.map(|section| self.header(section, named[&index]));
            file.extend(encode::section_header(&header.unwrap_or_default(), is_64));
        }
        Position { is_64, offset, count: names + 1, names }
    }

    fn header(&self, section: &Section, name: u32) -> SectionHeader {
        let link = section.link.map_or(0, |link| self.index(link));
        SectionHeader {
            sh_name: name as usize,
            sh_type: section.kind,
            sh_flags: section.flags,
            sh_addr: section.address,
            sh_offset: section.offset,
            sh_size: section.size,
            sh_link: link.into(),
            sh_info: section.info,
            sh_addralign: section.align,
            sh_entsize: section.entry,
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

/// Puts the position of its section headers into the ELF header of a file, little-endian.
pub fn put_position(file: &mut [u8], position: Position) {
    let Position { is_64, offset, count, names } = position;
    let sizes = Sizes::of(is_64);
    // e_shoff is the second from e_phoff on, which is at 32 or, with addresses of 32 bits, at 28; e_shentsize, e_shnum and
    // e_shstrndx are the last.
    let (at, word) = if is_64 { (40, 8) } else { (32, 4) };
    if let Some(header) = file.get_mut(..sizes.header) {
        header[at..at + word].copy_from_slice(&offset.to_le_bytes()[..word]);
        let last = [sizes.section_header as u16, count, names];
        let last: Vec<u8> = last.iter().flat_map(|number| number.to_le_bytes()).collect();
        header[sizes.header - last.len()..].copy_from_slice(&last);
    }
}
