//! The structures of ELF files as bytes, least significant first (gABI, "ELF Header", "Program Header", "Section Header"): of
//! both classes, in which addresses, offsets and sizes have 64 bits or 32.

use goblin::elf::header::Header;
use goblin::elf::program_header::ProgramHeader;
use goblin::elf::section_header::SectionHeader;
use goblin::elf::sym::Sym;

/// How many bytes the structures of a class take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The ELF header.
    pub header: usize,
    /// A program header.
    pub program_header: usize,
    /// A section header.
    pub section_header: usize,
    /// An entry of a symbol table.
    pub symbol: usize,
}

impl Sizes {
    /// Those of ELFCLASS64 or of ELFCLASS32.
    pub const fn of(is_64: bool) -> Self {
        match is_64 {
            true => Self { header: 64, program_header: 56, section_header: 64, symbol: 24 },
            false => Self { header: 52, program_header: 32, section_header: 40, symbol: 16 },
        }
    }
}

/// The ELF header, of the class that it says.
pub fn header(header: &Header, is_64: bool) -> Vec<u8> {
    let mut to = Bytes { bytes: header.e_ident.to_vec(), is_64 };
    to.halves(&[header.e_type, header.e_machine]);
    to.word(header.e_version);
    to.addresses(&[header.e_entry, header.e_phoff, header.e_shoff]);
    to.word(header.e_flags);
    to.halves(&[header.e_ehsize, header.e_phentsize, header.e_phnum]);
    to.halves(&[header.e_shentsize, header.e_shnum, header.e_shstrndx]);
    to.bytes
}

/// A program header. The flags come second where they fill up a word, and late where none is to be filled.
pub fn program_header(header: &ProgramHeader, is_64: bool) -> Vec<u8> {
    let mut to = Bytes { bytes: Vec::new(), is_64 };
    to.word(header.p_type);
    if is_64 {
        to.word(header.p_flags);
    }
    to.addresses(&[header.p_offset, header.p_vaddr, header.p_paddr]);
    to.addresses(&[header.p_filesz, header.p_memsz]);
    if !is_64 {
        to.word(header.p_flags);
    }
    to.addresses(&[header.p_align]);
    to.bytes
}

/// A section header.
pub fn section_header(header: &SectionHeader, is_64: bool) -> Vec<u8> {
    let mut to = Bytes { bytes: Vec::new(), is_64 };
    to.word(header.sh_name as u32);
    to.word(header.sh_type);
    to.addresses(&[header.sh_flags, header.sh_addr, header.sh_offset, header.sh_size]);
    to.word(header.sh_link);
    to.word(header.sh_info);
    to.addresses(&[header.sh_addralign, header.sh_entsize]);
    to.bytes
}

/// An entry of a symbol table (gABI, "Symbol Table"). Value and size come last where they have 64 bits.
pub fn symbol(symbol: &Sym, is_64: bool) -> Vec<u8> {
    let mut to = Bytes { bytes: Vec::new(), is_64 };
    to.word(symbol.st_name as u32);
    if !is_64 {
        to.addresses(&[symbol.st_value, symbol.st_size]);
    }
    to.bytes.extend([symbol.st_info, symbol.st_other]);
    to.halves(&[symbol.st_shndx as u16]);
    if is_64 {
        to.addresses(&[symbol.st_value, symbol.st_size]);
    }
    to.bytes
}

struct Bytes {
    bytes: Vec<u8>,
    is_64: bool,
}

impl Bytes {
    fn halves(&mut self, numbers: &[u16]) {
        self.bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }

    fn word(&mut self, number: u32) {
        self.bytes.extend(number.to_le_bytes());
    }

    fn addresses(&mut self, numbers: &[u64]) {
        let size = if self.is_64 { 8 } else { 4 };
        for number in numbers {
            self.bytes.extend(&number.to_le_bytes()[..size]);
        }
    }
}

#[cfg(test)]
mod tests {
    use goblin::container::{Container, Ctx, Endian};
    use goblin::elf::{Elf, Symtab};

    use super::*;

    #[test]
    fn what_is_encoded_is_read_again() {
        for (is_64, container) in [(true, Container::Big), (false, Container::Little)] {
            let sizes = Sizes::of(is_64);
            let mut ident = [0; 16];
            ident[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 1 + u8::from(is_64), 1, 1]);
            let number = |n: u64| 0x1000_0000 + n;
            let made = Header {
                e_ident: ident,
                e_type: 3,
                e_machine: 62,
                e_version: 1,
                e_entry: number(1),
                e_phoff: sizes.header as u64,
                e_shoff: 0,
                e_flags: 7,
                e_ehsize: sizes.header as u16,
                e_phentsize: sizes.program_header as u16,
                e_phnum: 1,
                e_shentsize: 0,
                e_shnum: 0,
                e_shstrndx: 0,
            };
            let segment = ProgramHeader {
                p_type: 4,
                p_flags: 5,
                p_offset: number(2),
                p_vaddr: number(3),
                p_paddr: number(4),
                p_filesz: number(5),
                p_memsz: number(6),
                p_align: number(7),
            };
            let section = SectionHeader {
                sh_name: 1,
                sh_type: 2,
                sh_flags: number(1),
                sh_addr: number(2),
                sh_offset: number(3),
                sh_size: number(4),
                sh_link: 5,
                sh_info: 6,
                sh_addralign: number(5),
                sh_entsize: number(6),
            };
            let mut bytes = header(&made, is_64);
            assert_eq!(bytes.len(), sizes.header);
            assert_eq!(Elf::parse_header(&bytes).unwrap(), made);
            bytes.extend(program_header(&segment, is_64));
            assert_eq!(bytes.len(), sizes.header + sizes.program_header);
            let context = Ctx::new(container, Endian::Little);
            let read = ProgramHeader::parse(&bytes, sizes.header, 1, context).unwrap();
            assert_eq!(read, [segment]);
            // A first one says nothing, as in every file.
            let start = bytes.len();
            bytes.resize(start + sizes.section_header, 0);
            bytes.extend(section_header(&section, is_64));
            assert_eq!(bytes.len(), start + 2 * sizes.section_header);
            let read = SectionHeader::parse(&bytes, start, 2, context).unwrap();
            assert_eq!(read[1], section);
            let one = Sym {
                st_name: 1,
                st_info: 2,
                st_other: 3,
                st_shndx: 4,
                st_value: number(1),
                st_size: number(2),
            };
            let encoded = symbol(&one, is_64);
            assert_eq!(encoded.len(), sizes.symbol);
            assert_eq!(Symtab::parse(&encoded, 0, 1, context).unwrap().get(0), Some(one));
        }
    }
}
