//! Marks of control-flow enforcement, in the GNU properties (x86-64 psABI, ".note.gnu.property").

use object::elf::{
    GNU_PROPERTY_X86_FEATURE_1_AND, GNU_PROPERTY_X86_FEATURE_1_IBT,
    GNU_PROPERTY_X86_FEATURE_1_SHSTK,
};

use crate::ElfFile;

/// The parts of Intel's Control-flow Enforcement Technology that a file says it is made for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cet {
    /// Indirect branch tracking: indirect branches only lead to ENDBR instructions.
    pub ibt: bool,
    /// Shadow stacks: returns only lead to where calls came from.
    pub shstk: bool,
}

impl ElfFile<'_> {
    /// Its CET marks; `None` if the machine has nothing of the kind.
    pub fn cet(&self) -> Option<Cet> {
        if !super::is_run(self.header().e_machine) {
            return None;
        }
        // What all code of the file can bear: the linker ands it over its inputs.
        let features = self.property(GNU_PROPERTY_X86_FEATURE_1_AND);
        let features = features.map_or(0, |data| self.word(data));
        let has = |feature| features & feature != 0;
        Some(Cet {
            ibt: has(GNU_PROPERTY_X86_FEATURE_1_IBT),
            shstk: has(GNU_PROPERTY_X86_FEATURE_1_SHSTK),
        })
    }
}

#[cfg(test)]
mod tests {
    use object::elf::NT_GNU_PROPERTY_TYPE_0;
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
