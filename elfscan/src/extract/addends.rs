//! What relocations add that have no addends of their own (DT_REL): it stands in the words that they write, and is lost
//! with them. What an output knows of its words tells it all the same: where a pointer leads, and where the symbol is; which
//! function chose a function; where thread-local memory lies.

use std::collections::{HashMap, HashSet};

use goblin::elf::program_header::{PT_TLS, ProgramHeader};
use goblin::elf::sym::STT_GNU_IFUNC;
use statify_elf::machine::{Machine, Meaning};
use statify_elf::{DynamicFacts, ElfFile, Relocation, word_mask};
use statify_format::manifest::{EmbeddedFile, FileKind, Manifest};
use statify_format::parameters::Parameters;
use statify_params::ABSOLUTE;

use crate::converted::module::{self, Addresses};

/// What is known of an output's words.
#[derive(Debug, Default)]
pub struct Addends {
    fixed: bool,
    mask: u64,
    /// Places of words that the output's pages have as the files have them.
    plain: HashSet<u64>,
    /// By the place of a pointer, the place that its value counts from.
    slides: HashMap<u64, u64>,
    /// By the place of a word, the place of the function that chose its value.
    resolvers: HashMap<u64, u64>,
    /// Of the modules, by their paths' order in the manifest.
    modules: Vec<Definer>,
}

/// A module that others may refer to.
#[derive(Debug)]
struct Definer {
    address: u64,
    addresses: Addresses,
    /// By name, values and whether they are those of functions that choose one.
    symbols: HashMap<Vec<u8>, Vec<(u64, bool)>>,
    /// How far below the thread pointer its thread-local memory begins, if it has any.
    thread_offset: Option<u64>,
}

impl Addends {
    /// Of an output that may be anything; nothing is known where it is damaged, or needed where words are long enough for
    /// relocations that have addends.
    pub fn of(output: &[u8], manifest: &Manifest) -> Self {
        let elf = ElfFile::parse_known(output).ok().filter(|elf| !elf.is_64());
        let Some(parameters) = elf.as_ref().and_then(|elf| Parameters::read(elf).ok()) else {
            return Self::default();
        };
        let fixed = elf.is_some_and(|elf| elf.header().e_type == goblin::elf::header::ET_EXEC);
        let mut addends = Self { fixed, mask: word_mask(parameters.word()), ..Self::default() };
        let constants = parameters.constants(parameters.params.constants);
        addends.plain = constants.map(|constant| addends.normal(constant.at)).collect();
        for slide in parameters.slides() {
            let words = parameters.words(slide.start, slide.stream, slide.count, "pointers");
            let words = words.unwrap_or_default().into_iter();
            let words: Vec<_> =
                words.map(|place| (addends.normal(place), slide.target & !ABSOLUTE)).collect();
            addends.slides.extend(words);
        }
        for resolver in parameters.resolvers() {
            let (start, stream, count) = (resolver.start, resolver.stream, resolver.count);
            let words = parameters.words(start, stream, count, "IFUNC resolvers");
            let words = words.unwrap_or_default().into_iter();
            let function = resolver.function & !ABSOLUTE;
            let words: Vec<_> = words.map(|place| (addends.normal(place), function)).collect();
            addends.resolvers.extend(words);
        }
        addends.modules = definers(output, manifest);
        addends
    }

    /// At fixed addresses all places are absolute.
    fn normal(&self, place: u64) -> u64 {
        if self.fixed { place & !ABSOLUTE } else { place }
    }

    /// What a file has in the word that this relocation writes, as far as it is told by what the output has there,
    /// `stored`.
    pub fn of_word(
        &self,
        file: &EmbeddedFile,
        facts: &DynamicFacts<'_>,
        machine: Machine,
        relocation: &Relocation,
        stored: u64,
    ) -> Option<u64> {
        let own = self.modules.iter().find(|definer| definer.address == file.address)?;
        let address = own.addresses.in_output(relocation.at);
        let is_absolute = file.fixed && !self.fixed;
        let place = if is_absolute { address | ABSOLUTE } else { address };
        if self.plain.contains(&place) {
            return Some(stored);
        }
        let name = || {
            let symbol = facts.symbols().get(relocation.symbol)?;
            facts.string(symbol.name.into()).map(<[u8]>::to_vec)
        };
        let addend = match machine.relocation(relocation.kind)? {
            Meaning::Indirect => own.addresses.in_file(*self.resolvers.get(&place)?),
            Meaning::Symbol => {
                let base = self.slides.get(&place).copied().unwrap_or(0);
                self.behind_symbol(&name()?, stored.wrapping_add(base) & self.mask)?
            }
            meaning @ (Meaning::TlsOffset | Meaning::ThreadOffset) => {
                let (definer, value) = match relocation.symbol {
                    0 => (own, 0),
                    _ => self.definition(&name()?)?,
                };
                let offset = match meaning {
                    Meaning::ThreadOffset => definer.thread_offset?,
                    _ => 0,
                };
                stored.wrapping_add(offset).wrapping_sub(value)
            }
            _ => return None,
        };
        Some(addend & self.mask)
    }

    /// How far behind a symbol an address of the output lies: of several that have the name, behind the nearest.
    fn behind_symbol(&self, name: &[u8], address: u64) -> Option<u64> {
        let all = self.modules.iter().flat_map(|definer| {
            let symbols = definer.symbols.get(name).into_iter().flatten();
            symbols.map(move |(value, chooses)| match chooses {
                true => 0,
                false => address.wrapping_sub(definer.addresses.in_output(*value)) & self.mask,
            })
        });
        let distance = |behind: u64| behind.min((self.mask - behind).wrapping_add(1));
        match all.min_by_key(|behind| distance(*behind)) {
            // Nobody defines it.
            None => Some(address),
            behind => behind,
        }
    }

    /// The first that defines a symbol.
    fn definition(&self, name: &[u8]) -> Option<(&Definer, u64)> {
        let found = |definer: &Definer| Some(definer.symbols.get(name)?.first()?.0);
        self.modules.iter().find_map(|definer| Some((definer, found(definer)?)))
    }
}

fn definers(output: &[u8], manifest: &Manifest) -> Vec<Definer> {
    let files = manifest.files.iter().filter(|file| file.kind != FileKind::Plugin);
    let mut static_memory = StaticMemory::default();
    let read = |file: &EmbeddedFile| {
        let module = module::rebuild(output, file)?;
        let elf = ElfFile::parse_any(&module.image).ok()?;
        let facts = elf.dynamic().ok()??;
        let mut symbols: HashMap<Vec<u8>, Vec<(u64, bool)>> = HashMap::new();
        for symbol in facts.symbols().iter().filter(|symbol| symbol.is_defined()) {
            let Some(name) = facts.string(symbol.name.into()) else { continue };
            let chooses = symbol.kind() == STT_GNU_IFUNC;
            symbols.entry(name.to_vec()).or_default().push((symbol.value, chooses));
        }
        let template = elf.segments().iter().find(|segment| segment.p_type == PT_TLS);
        let thread_offset = template.and_then(|template| static_memory.add(template));
        let addresses = module.addresses?;
        Some(Definer { address: file.address, addresses, symbols, thread_offset })
    };
    files.filter_map(read).collect()
}

/// Where glibc's loader puts the thread-local memory of the modules that it loads at start, one after the other, below the
/// thread pointer (ELF Handling For Thread-Local Storage, variant II; glibc's _dl_determine_tlsoffset).
#[derive(Debug, Default)]
struct StaticMemory {
    /// What is taken, in bytes.
    taken: u64,
    /// A part that an alignment has left free.
    free: (u64, u64),
}

impl StaticMemory {
    /// The distance of the next one's beginning.
    fn add(&mut self, template: &ProgramHeader) -> Option<u64> {
        let (size, align) = (template.p_memsz, template.p_align.max(1));
        if !align.is_power_of_two() || size > 1 << 31 || align > 1 << 31 {
            return None;
        }
        let first = (template.p_vaddr & (align - 1)).wrapping_neg() & (align - 1);
        let behind = |taken: u64| {
            let end = (taken + size).checked_sub(first)?;
            Some(end.checked_next_multiple_of(align)? + first)
        };
        let (top, bottom) = self.free;
        if bottom - top >= size
            && let Some(offset) = behind(top).filter(|offset| *offset <= bottom)
        {
            self.free.0 = offset;
            return Some(offset);
        }
        let offset = behind(self.taken)?;
        if offset > self.taken + size + (bottom - top) {
            self.free = (self.taken, offset - size);
        }
        self.taken = offset;
        Some(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(size: u64, align: u64, address: u64) -> ProgramHeader {
        ProgramHeader { p_memsz: size, p_align: align, p_vaddr: address, ..Default::default() }
    }

    #[test]
    fn thread_local_memory_is_below_the_thread_pointer() {
        let mut memory = StaticMemory::default();
        assert_eq!(memory.add(&template(12, 4, 0)), Some(12));
        // It leaves room for the next two.
        assert_eq!(memory.add(&template(64, 64, 0)), Some(128));
        assert_eq!(memory.add(&template(8, 4, 0)), Some(20));
        assert_eq!(memory.add(&template(4, 16, 8)), Some(24));
        assert_eq!(memory.add(&template(4, 3, 0)), None);
        assert_eq!(memory.add(&template(u64::MAX, 4, 0)), None);
    }
}
