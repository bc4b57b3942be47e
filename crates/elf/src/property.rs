//! GNU properties (Linux extensions to gABI, "Program Property").

use object::elf::NT_GNU_PROPERTY_TYPE_0;

use super::{ElfFile, Note};

impl<'a> ElfFile<'a> {
    /// The data of the file's GNU property of this type, GNU_PROPERTY_*; none if it has no such property.
    pub(crate) fn property(&self, kind: u32) -> Option<&'a [u8]> {
        let is_property =
            |note: &Note<'_>| note.name == b"GNU\0" && note.kind == NT_GNU_PROPERTY_TYPE_0;
        self.notes().filter(is_property).find_map(|note| self.property_in(note.contents, kind))
    }

    /// The data of a property of a note: each has a type, a size, and data padded to the size of an address.
    fn property_in(&self, mut rest: &'a [u8], kind: u32) -> Option<&'a [u8]> {
        loop {
            let size = self.word(rest.get(4..8)?) as usize;
            let data = rest.get(8..8usize.checked_add(size)?)?;
            if self.word(rest) == kind {
                return Some(data);
            }
            rest = rest.get(8 + size.checked_next_multiple_of(self.address_size())?..)?;
        }
    }
}
