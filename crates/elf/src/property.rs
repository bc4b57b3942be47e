//! GNU properties (Linux extensions to gABI, "Program Property"; x86-64 psABI, ".note.gnu.property").

use goblin::elf::header::{EM_386, EM_X86_64};

use super::{ElfFile, Note};

const NT_GNU_PROPERTY_TYPE_0: u32 = 5;
/// What all code of the file can bear: the linker ands it over its inputs.
const GNU_PROPERTY_X86_FEATURE_1_AND: u32 = 0xc000_0002;
const IBT: u32 = 1;
const SHSTK: u32 = 2;

/// The parts of Intel's Control-flow Enforcement Technology that a file says it is made for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cet {
    /// Indirect branch tracking: indirect branches only lead to ENDBR instructions.
    pub ibt: bool,
    /// Shadow stacks: returns only lead to where calls came from.
    pub shstk: bool,
}

impl<'a> ElfFile<'a> {
    /// Its CET marks; `None` if the machine has nothing of the kind.
    pub fn cet(&self) -> Option<Cet> {
        if !matches!(self.header().e_machine, EM_X86_64 | EM_386) {
            return None;
        }
        let is_property =
            |note: &Note<'_>| note.name == b"GNU\0" && note.kind == NT_GNU_PROPERTY_TYPE_0;
        let features = self.notes().filter(is_property).find_map(|note| {
            let data = self.property(note.contents, GNU_PROPERTY_X86_FEATURE_1_AND)?;
            Some(self.word(data))
        });
        let features = features.unwrap_or(0);
        Some(Cet { ibt: features & IBT != 0, shstk: features & SHSTK != 0 })
    }

    /// The data of a property: each has a type, a size, and data padded to the size of an address.
    fn property(&self, mut rest: &'a [u8], kind: u32) -> Option<&'a [u8]> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An x86-64 file of a header, a PT_NOTE and the note.
    fn file(properties: &[u8]) -> Vec<u8> {
        let words = |words: &[u32]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
        let longs = |longs: &[u64]| longs.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
        let size = properties.len();
        let note = [&words(&[4, size as u32, NT_GNU_PROPERTY_TYPE_0]), &b"GNU\0"[..], properties];
        let note = note.concat();
        let len = note.len() as u64;
        [
            b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0".to_vec(),
            longs(&[0, 64, 0]),
            b"\0\0\0\0\x40\0\x38\0\x01\0\0\0\0\0\0\0".to_vec(),
            words(&[4, 4]),
            longs(&[120, 120, 120, len, len, 8]),
            note,
        ]
        .concat()
    }

    fn cet(properties: &[u8]) -> Option<Cet> {
        ElfFile::parse_any(&file(properties)).unwrap().cet()
    }

    #[test]
    fn among_other_properties() {
        let isa = [2, 0x80, 0, 0xc0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        let features = |value| [2, 0, 0, 0xc0, 4, 0, 0, 0, value, 0, 0, 0, 0, 0, 0, 0];
        let both = Cet { ibt: true, shstk: true };
        assert_eq!(cet(&[isa, features(3)].concat()), Some(both));
        assert_eq!(cet(&[features(2), isa].concat()), Some(Cet { ibt: false, shstk: true }));
        assert_eq!(cet(&isa), Some(Cet::default()));
        // Padding may be cut off, data may not.
        assert_eq!(cet(&features(3)[..12]), Some(both));
        assert_eq!(cet(&features(3)[..11]), Some(Cet::default()));
    }

    proptest! {
        #[test]
        fn any_properties(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(cet(&bytes).is_some());
        }
    }
}
