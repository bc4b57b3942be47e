//! Relocations (gABI, "Relocation"; DT_RELR: gABI, "Relative Relocation Table").

use goblin::elf::dynamic;
use goblin::elf::header::EM_MIPS;

use super::{DynamicFacts, ElfFile};

const DT_RELRSZ: u64 = 35;
const DT_RELR: u64 = 36;

/// An entry of DT_RELA, DT_REL or DT_JMPREL. Addresses are before any bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relocation {
    /// The word that it writes.
    pub at: u64,
    /// R_*.
    pub kind: u32,
    /// Index of its symbol; 0 for none.
    pub symbol: u32,
    /// What is added; `None` if it stands in the word itself.
    pub addend: Option<i64>,
}

impl<'a> DynamicFacts<'a> {
    /// All relocations but those of DT_RELR, in the loader's order.
    pub fn relocations(&self) -> impl Iterator<Item = Relocation> {
        let rela = self.table(dynamic::DT_RELA, dynamic::DT_RELASZ);
        let rel = self.table(dynamic::DT_REL, dynamic::DT_RELSZ);
        let file = self.file();
        entries(file, rela, true).chain(entries(file, rel, false)).chain(self.plt_relocations())
    }

    /// Those of DT_JMPREL.
    pub fn plt_relocations(&self) -> impl Iterator<Item = Relocation> {
        let table = self.table(dynamic::DT_JMPREL, dynamic::DT_PLTRELSZ);
        let with_addend = self.value(dynamic::DT_PLTREL) == Some(dynamic::DT_RELA);
        entries(self.file(), table, with_addend)
    }

    /// The words that DT_RELR says hold addresses in this module: to each, the bias is added.
    pub fn relative_words(&self) -> impl Iterator<Item = u64> {
        let table = self.table(DT_RELR, DT_RELRSZ).unwrap_or_default();
        let size = self.file().address_size() as u64;
        let mut next = 0u64;
        table.chunks_exact(size as usize).flat_map(move |entry| {
            let entry = self.file().address(entry);
            let (first, mut bits) = if entry & 1 == 0 { (entry, 1) } else { (next, entry >> 1) };
            let covered = if entry & 1 == 0 { 1 } else { 8 * size - 1 };
            next = first.wrapping_add(covered * size);
            let mut at = first;
            std::iter::from_fn(move || {
                if bits == 0 {
                    return None;
                }
                let skipped = u64::from(bits.trailing_zeros());
                let word = at.wrapping_add(skipped * size);
                // Twice, because all bits may be shifted out.
                bits = bits >> skipped >> 1;
                at = word.wrapping_add(size);
                Some(word)
            })
        })
    }
}

fn entries<'a>(
    file: &ElfFile<'a>,
    table: Option<&'a [u8]>,
    with_addend: bool,
) -> impl Iterator<Item = Relocation> {
    let size = file.address_size();
    let words = if with_addend { 3 } else { 2 };
    let file = file.clone();
    // The 64-bit MIPS ABI splits r_info differently.
    let swapped = file.is_64() && file.header().e_machine == EM_MIPS;
    table.unwrap_or_default().chunks_exact(words * size).map(move |entry| {
        let info = file.address(&entry[size..]);
        let (symbol, kind) = match (file.is_64(), swapped) {
            (true, false) => ((info >> 32) as u32, info as u32),
            (true, true) => (info as u32, (info >> 56) as u32),
            (false, _) => ((info >> 8) as u32, info as u32 & 0xff),
        };
        let addend = with_addend.then(|| match file.address(&entry[2 * size..]) {
            addend if file.is_64() => addend as i64,
            addend => i64::from(addend as u32 as i32),
        });
        Relocation { at: file.address(entry), kind, symbol, addend }
    })
}
