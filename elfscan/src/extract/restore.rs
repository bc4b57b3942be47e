//! What relocation has written is taken back, as far as a module's own relocation tables tell where
//! that is. What a file has in such a word is the linker's choice: relocations with addends say what is added,
//! so that nothing need be there. Those without have it there ([`super::addends`]).

use std::ops::Range;

use goblin::elf::dynamic;
use statify_elf::machine::{FileValue, Machine};
use statify_elf::{DynamicFacts, ElfFile, Relocation};

use super::addends::Addends;
use crate::converted::module::{Addresses, Module};
use statify_format::manifest::EmbeddedFile;

/// Puts back the words of a module that is loaded.
pub fn restore(module: &mut Module, file: &EmbeddedFile, addends: &Addends) {
    let Some((size, words)) = words(module, file, addends) else { return };
    for (offset, value) in words {
        let end = offset.checked_add(size);
        if let Some(word) = end.and_then(|end| module.image.get_mut(offset..end)) {
            word.copy_from_slice(&value.to_le_bytes()[..size]);
        }
    }
}

/// The size of a word in bytes, 8 at most; file offsets and the values that the file has there.
fn words(
    module: &Module,
    file: &EmbeddedFile,
    addends: &Addends,
) -> Option<(usize, Vec<(usize, u64)>)> {
    let addresses = module.addresses.as_ref()?;
    let elf = ElfFile::parse_any(&module.image).ok()?;
    let facts = elf.dynamic().ok()??;
    let place = Places::new(&elf, &module.pristine);
    let machine = elf.machine()?;
    let filled = fills_addends(machine, &facts, &place, &module.image);
    let lazy = machine.lazy_targets(&elf, &facts);
    let mut words = Vec::new();
    // Tables that lie may name a word any number of times.
    let size = elf.address_size();
    let most = module.image.len() / size;
    let mut put = |at: u64, value: u64| {
        if let Some(offset) = place.changed(at).filter(|_| words.len() < most) {
            words.push((offset, value));
        }
    };
    for at in facts.relative_words() {
        if let Some(stored) = place.read(&module.image, at) {
            put(at, addresses.pointer(stored));
        }
    }
    for relocation in facts.relocations() {
        let Relocation { at, kind, addend, .. } = relocation;
        if addend.is_none()
            && let Some(stored) = place.read(&module.image, at)
            && let Some(value) = addends.of_word(file, &facts, machine, &relocation, stored)
        {
            put(at, value);
            continue;
        }
        match (machine.file_value(kind), addend) {
            // It stands in the word, as in those of DT_RELR.
            (FileValue::Addend, None) => {
                if let Some(stored) = place.read(&module.image, at) {
                    put(at, addresses.pointer(stored));
                }
            }
            (FileValue::Addend, Some(addend)) if filled => put(at, addend as u64),
            (FileValue::Addend | FileValue::Zero, _) => put(at, 0),
            (FileValue::TwoZeros, _) => {
                put(at, 0);
                put(at.wrapping_add(size as u64), 0);
            }
            (FileValue::Lazy | FileValue::Unknown, _) => {}
        }
    }
    for (index, relocation) in facts.plt_relocations().enumerate() {
        if machine.file_value(relocation.kind) == FileValue::Lazy {
            put(relocation.at, lazy.get(&(index as u32)).copied().unwrap_or(0));
        }
    }
    restore_got_header(&facts, addresses, machine.word(), &mut put);
    Some((size, words))
}

/// The three words at DT_PLTGOT: the dynamic section, and two that a loader writes for lazy binding.
fn restore_got_header(
    facts: &DynamicFacts<'_>,
    addresses: &Addresses,
    word: u64,
    put: &mut impl FnMut(u64, u64),
) {
    let got = facts.value(dynamic::DT_PLTGOT).filter(|got| addresses.span.contains(got));
    let lazy = facts.value(dynamic::DT_JMPREL).is_some();
    if let Some(got) = got.filter(|_| lazy) {
        put(got.wrapping_add(word), 0);
        put(got.wrapping_add(2 * word), 0);
    }
}

/// Whether the linker has left addends in the words, too, as GNU's do and lld does not: what the
/// pages show that are the file's own.
fn fills_addends(
    machine: Machine,
    facts: &DynamicFacts<'_>,
    place: &Places<'_>,
    image: &[u8],
) -> bool {
    let relative = facts.relocations().filter(|entry| {
        machine.file_value(entry.kind) == FileValue::Addend && entry.addend.is_some_and(|a| a != 0)
    });
    let shown = relative.filter(|entry| place.changed(entry.at).is_none());
    let mut seen = shown.filter_map(|entry| place.read(image, entry.at)).take(64);
    seen.next().is_none_or(|first| first != 0 || seen.any(|word| word != 0))
}

/// File offsets of addresses.
struct Places<'a> {
    elf: &'a ElfFile<'a>,
    /// Addresses and file offsets of what is loaded from the file.
    loads: Vec<(Range<u64>, u64)>,
    pristine: &'a [Range<u64>],
}

impl<'a> Places<'a> {
    fn new(elf: &'a ElfFile<'a>, pristine: &'a [Range<u64>]) -> Self {
        let load = |load: &goblin::elf::ProgramHeader| {
            (load.p_vaddr..load.p_vaddr.saturating_add(load.p_filesz), load.p_offset)
        };
        Self { elf, loads: elf.loads().map(load).collect(), pristine }
    }

    /// The file offset of the word at an address.
    fn offset(&self, at: u64) -> Option<u64> {
        let (range, offset) = self.loads.iter().find(|(range, _)| range.contains(&at))?;
        offset.checked_add(at - range.start)
    }

    /// The same, if the word is not the file's own.
    fn changed(&self, at: u64) -> Option<usize> {
        let offset = self.offset(at)?;
        let pristine = self.pristine.iter().any(|range| range.contains(&offset));
        usize::try_from(offset).ok().filter(|_| !pristine)
    }

    fn read(&self, image: &[u8], at: u64) -> Option<u64> {
        let offset = usize::try_from(self.offset(at)?).ok()?;
        let bytes = image.get(offset..)?.get(..self.elf.address_size())?;
        Some(self.elf.address(bytes))
    }
}
