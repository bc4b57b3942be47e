//! What the code of a file says that it bears, in the GNU properties (sysvabi64, ".note.gnu.property").

use object::elf::{
    GNU_PROPERTY_AARCH64_FEATURE_1_AND, GNU_PROPERTY_AARCH64_FEATURE_1_BTI,
    GNU_PROPERTY_AARCH64_FEATURE_1_PAC,
};

use super::E_MACHINE;
use crate::ElfFile;

/// GNU_PROPERTY_AARCH64_FEATURE_1_GCS.
const GCS: u32 = 1 << 2;

/// The means against changed branches that a file says it is made for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BranchProtection {
    /// Branch target identification: indirect branches only lead to instructions that say so.
    pub bti: bool,
    /// Return addresses are signed with a key, and checked.
    pub pac: bool,
    /// Guarded control stack: returns only lead to where calls came from.
    pub gcs: bool,
}

impl ElfFile<'_> {
    /// Its marks; `None` if the machine has nothing of the kind.
    pub fn branch_protection(&self) -> Option<BranchProtection> {
        if self.header().e_machine != E_MACHINE {
            return None;
        }
        // What all code of the file can bear: the linker ands it over its inputs.
        let features = self.property(GNU_PROPERTY_AARCH64_FEATURE_1_AND);
        let features = features.map_or(0, |data| self.word(data));
        let has = |feature| features & feature != 0;
        Some(BranchProtection {
            bti: has(GNU_PROPERTY_AARCH64_FEATURE_1_BTI),
            pac: has(GNU_PROPERTY_AARCH64_FEATURE_1_PAC),
            gcs: has(GCS),
        })
    }
}
