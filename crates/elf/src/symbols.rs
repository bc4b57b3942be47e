//! Dynamic symbols (gABI, "Symbol Table"), as many as the hash tables lead to.

use goblin::elf::dynamic;
use goblin::elf::sym::{
    STB_GLOBAL, STB_GNU_UNIQUE, STB_WEAK, STT_FUNC, STT_GNU_IFUNC, st_visibility,
};

use super::{DynamicFacts, ElfFile};

/// More symbols, or buckets of a hash table, than this are no file's: what is beyond in a sparse file
/// is not looked at.
const MOST_SYMBOLS: u32 = 1 << 24;

/// A symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// The offset of its name in DT_STRTAB.
    pub name: u32,
    /// STB_* and STT_*.
    pub info: u8,
    /// Its visibility.
    pub other: u8,
    /// SHN_* or the section it is defined in.
    pub section: u16,
    /// Its address, before any bias; for thread-local ones an offset.
    pub value: u64,
    /// In bytes.
    pub size: u64,
}

impl Symbol {
    /// STT_*.
    pub fn kind(&self) -> u8 {
        self.info & 0xf
    }

    /// STB_*.
    pub fn binding(&self) -> u8 {
        self.info >> 4
    }

    /// Whether this module has it.
    pub fn is_defined(&self) -> bool {
        self.section != 0
    }

    /// Whether another module may be bound to it.
    pub fn is_exported(&self) -> bool {
        const STV_DEFAULT: u8 = 0;
        const STV_PROTECTED: u8 = 3;
        self.is_defined()
            && matches!(self.binding(), STB_GLOBAL | STB_WEAK | STB_GNU_UNIQUE)
            && matches!(st_visibility(self.other), STV_DEFAULT | STV_PROTECTED)
    }

    /// Whether it is a weak reference or definition.
    pub fn is_weak(&self) -> bool {
        self.binding() == STB_WEAK
    }

    /// Whether it is code: itself, or what its resolver answers.
    pub fn is_function(&self) -> bool {
        matches!(self.kind(), STT_FUNC | STT_GNU_IFUNC)
    }
}

/// The dynamic symbols of a file, the first of them the null symbol.
#[derive(Clone, Debug)]
pub struct SymbolTable<'a> {
    file: ElfFile<'a>,
    entries: &'a [u8],
}

impl<'a> SymbolTable<'a> {
    pub(super) fn read(facts: &DynamicFacts<'a>) -> Self {
        let file = facts.file().clone();
        let rest = facts.value(dynamic::DT_SYMTAB).and_then(|table| file.from(table));
        let rest = rest.unwrap_or_default();
        let len = (count(facts) as usize).saturating_mul(size_of_symbol(&file));
        Self { file, entries: &rest[..len.min(rest.len())] }
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        (self.entries.len() / size_of_symbol(&self.file)) as u32
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one with this index.
    pub fn get(&self, index: u32) -> Option<Symbol> {
        let size = size_of_symbol(&self.file);
        let entry = self.entries.get(size.checked_mul(index as usize)?..)?;
        self.file.symbol(entry)
    }

    /// All of them, by index.
    pub fn iter(&self) -> impl Iterator<Item = Symbol> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl ElfFile<'_> {
    /// The symbol that these bytes of a table begin with.
    pub fn symbol(&self, bytes: &[u8]) -> Option<Symbol> {
        let file = self;
        let entry = bytes.get(..size_of_symbol(file))?;
        Some(if file.is_64() {
            // Elf64_Sym: name, info, other, shndx, value, size.
            Symbol {
                name: file.word(entry),
                info: entry[4],
                other: entry[5],
                section: file.half(&entry[6..]),
                value: file.address(&entry[8..]),
                size: file.address(&entry[16..]),
            }
        } else {
            // Elf32_Sym: name, value, size, info, other, shndx.
            Symbol {
                name: file.word(entry),
                info: entry[12],
                other: entry[13],
                section: file.half(&entry[14..]),
                value: file.word(&entry[4..]).into(),
                size: file.word(&entry[8..]).into(),
            }
        })
    }

    /// The size of a symbol in a table, in bytes.
    pub fn size_of_symbol(&self) -> usize {
        size_of_symbol(self)
    }
}

/// In bytes.
pub(super) fn size_of_symbol(file: &ElfFile<'_>) -> usize {
    if file.is_64() { 24 } else { 16 }
}

/// One more than the greatest index that the hash tables lead to.
fn count(facts: &DynamicFacts<'_>) -> u32 {
    let counts = [count_gnu(facts), count_sysv(facts)];
    counts.into_iter().flatten().max().unwrap_or(0).min(MOST_SYMBOLS)
}

/// DT_HASH: nbucket, nchain; there are as many symbols as chains.
fn count_sysv(facts: &DynamicFacts<'_>) -> Option<u32> {
    let head = facts.bytes(facts.value(dynamic::DT_HASH)?, 8)?;
    Some(facts.file().word(&head[4..]))
}

/// How many symbols, the null symbol among them, have no place in DT_GNU_HASH because they are not
/// defined here. Of a file that defines none GNU ld says 1, whatever it imports: then the table's end
/// counts, which shows in where the next table begins.
pub(super) fn count_undefined(facts: &DynamicFacts<'_>) -> u32 {
    let gnu = facts.value(dynamic::DT_GNU_HASH).and_then(|table| facts.bytes(table, 8));
    let first = gnu.map(|head| facts.file().word(&head[4..])).filter(|&first| first > 1);
    let count = first.or_else(|| count_sysv(facts)).or_else(|| count_by_neighbour(facts));
    count.unwrap_or(0).min(MOST_SYMBOLS)
}

fn count_by_neighbour(facts: &DynamicFacts<'_>) -> Option<u32> {
    use dynamic::*;
    const TABLES: [u64; 9] = [
        DT_STRTAB,
        DT_HASH,
        DT_GNU_HASH,
        DT_VERSYM,
        DT_VERNEED,
        DT_VERDEF,
        DT_RELA,
        DT_REL,
        DT_JMPREL,
    ];
    let start = facts.value(DT_SYMTAB)?;
    let tables = TABLES.into_iter().filter_map(|tag| facts.value(tag));
    let end = tables.filter(|&table| table > start).min()?;
    u32::try_from((end - start) / size_of_symbol(facts.file()) as u64).ok()
}

/// DT_GNU_HASH: number of buckets, first symbol, words of the Bloom filter, shift; filter; buckets;
/// a value for each symbol from the first on, whose lowest bit ends a bucket's chain. The symbols
/// before the first are not defined here.
fn count_gnu(facts: &DynamicFacts<'_>) -> Option<u32> {
    let file = facts.file();
    let table = file.from(facts.value(dynamic::DT_GNU_HASH)?)?;
    let word = |at: usize| table.get(at..at.checked_add(4)?).map(|bytes| file.word(bytes));
    let (buckets, first, filter) = (word(0)? as usize, word(4)?, word(8)? as usize);
    if buckets > MOST_SYMBOLS as usize {
        return None;
    }
    let heads_at = 16usize.checked_add(filter.checked_mul(file.address_size())?)?;
    let chains_at = heads_at.checked_add(buckets.checked_mul(4)?)?;
    let heads = table.get(heads_at..chains_at)?.chunks_exact(4).map(|head| file.word(head));
    let last = heads.max()?;
    if last < first {
        return Some(count_undefined(facts));
    }
    let chain = table.get(chains_at..)?.get(4 * (last - first) as usize..)?;
    let mut chain = chain.chunks_exact(4).take(MOST_SYMBOLS as usize);
    let end = chain.position(|value| file.word(value) & 1 != 0)?;
    last.checked_add(u32::try_from(end).ok()?)?.checked_add(1)
}
