//! Section headers (gABI, "Sections"): what debuggers and the like go by, and no loader looks at.

use std::ffi::CStr;

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::section_header::SectionHeader;

use super::ElfFile;

/// A longer name of a section is none, in bytes.
const LONGEST_NAME: usize = 256;

impl<'a> ElfFile<'a> {
    /// The file offset and size of the section headers, as far as e_shnum tells their number.
    pub fn section_table(&self) -> (u64, u64) {
        let size = SectionHeader::size(self.sections_context()) as u64;
        (self.header().e_shoff, u64::from(self.header().e_shnum) * size)
    }

    /// The section headers by their index; none if the file does not have them all.
    pub fn sections(&self) -> Vec<SectionHeader> {
        let (offset, size) = self.section_table();
        let Ok(start) = usize::try_from(offset) else { return Vec::new() };
        if size == 0 || self.range(offset, size).is_none() {
            return Vec::new();
        }
        let count = usize::from(self.header().e_shnum);
        let table = SectionHeader::parse(self.bytes(), start, count, self.sections_context());
        table.unwrap_or_default()
    }

    /// A section's name, which lies in the section that e_shstrndx says.
    pub fn section_name(
        &self,
        sections: &[SectionHeader],
        section: &SectionHeader,
    ) -> Option<&'a [u8]> {
        let names = sections.get(usize::from(self.header().e_shstrndx))?;
        let names = self.range(names.sh_offset, names.sh_size)?;
        let name = names.get(section.sh_name..)?;
        let name = &name[..name.len().min(LONGEST_NAME)];
        CStr::from_bytes_until_nul(name).ok().map(CStr::to_bytes)
    }

    /// Bytes of the file, if it has them all.
    pub fn range(&self, offset: u64, size: u64) -> Option<&'a [u8]> {
        let end = usize::try_from(offset.checked_add(size)?).ok()?;
        self.bytes().get(usize::try_from(offset).ok()?..end)
    }

    pub(super) fn sections_context(&self) -> Ctx {
        let container = if self.is_64() { Container::Big } else { Container::Little };
        Ctx::new(container, if self.is_little_endian() { Endian::Little } else { Endian::Big })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_of_this_test_program() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        let elf = ElfFile::parse(&bytes).unwrap();
        let sections = elf.sections();
        assert_eq!(sections.len(), usize::from(elf.header().e_shnum));
        let names: Vec<_> =
            sections.iter().filter_map(|s| elf.section_name(&sections, s)).collect();
        assert!(names.contains(&&b".text"[..]) && names.contains(&&b".shstrtab"[..]), "{names:?}");
        assert_eq!(
            ElfFile::parse(&bytes[..bytes.len() - 1]).map_or(0, |cut| cut.sections().len()),
            0
        );
    }
}
