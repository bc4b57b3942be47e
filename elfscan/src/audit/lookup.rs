//! What a module defines, found as a loader finds it: by hash table and version (LSB core, "Symbol
//! Versioning"; glibc's elf/dl-lookup.c and musl's ldso/dynlink.c say what is taken for what).

use std::collections::HashMap;

use goblin::elf::dynamic;
use goblin::elf::sym::{
    STB_GLOBAL, STB_GNU_UNIQUE, STB_WEAK, STT_COMMON, STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE,
    STT_OBJECT, STT_TLS, STV_HIDDEN, STV_INTERNAL, st_visibility,
};
use statify_elf::{DynamicFacts, HIDDEN, Symbol, SymbolTable, Versions};

const SHN_ABS: u16 = 0xfff1;

/// A version that a reference asks for.
type VersionName<'a> = &'a [u8];

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Wanted<'a> {
    /// The name.
    pub name: &'a [u8],
    /// Its hash (DT_GNU_HASH).
    hash: u32,
    /// The version.
    pub version: Option<VersionName<'a>>,
    /// A real definition, not the address by which a program calls a function of another module.
    pub needs_definition: bool,
}

/// The symbols of a module, for looking up.
#[derive(Debug)]
pub struct Definitions<'a> {
    facts: DynamicFacts<'a>,
    table: SymbolTable<'a>,
    versions: Versions<'a>,
    /// By number: DT_VERNEED's and DT_VERDEF's, without the file's own name.
    names: HashMap<u16, VersionName<'a>>,
    has_versions: bool,
    hash: Hash<'a>,
}

#[derive(Debug)]
enum Hash<'a> {
    Gnu(GnuHash<'a>),
    /// For files with DT_HASH only, by name.
    Names(HashMap<&'a [u8], Vec<u32>>),
}

#[derive(Debug)]
struct GnuHash<'a> {
    /// Words of the file's size, in bytes.
    filter: &'a [u8],
    word: usize,
    shift: u32,
    buckets: &'a [[u8; 4]],
    first: u32,
    chains: &'a [[u8; 4]],
}

/// How well a symbol fits.
enum Fit {
    Yes,
    /// For a reference without version: a version that is not the oldest, if it is the only one.
    OnlyIfSingle,
    No,
}

impl<'a> Definitions<'a> {
    /// Reads what is needed of it.
    pub fn read(facts: DynamicFacts<'a>) -> Self {
        let (table, versions) = (facts.symbols(), facts.versions());
        let needed = versions.needed().iter().map(|needed| (needed.number, needed.name));
        let defined = versions.defined().iter().filter(|version| !version.base);
        let defined = defined.map(|version| (version.number, version.name));
        let names = needed.chain(defined).collect();
        let has_versions = versions.number(0).is_some();
        let hash = GnuHash::read(&facts).map(Hash::Gnu).unwrap_or_else(|| {
            let mut names: HashMap<&[u8], Vec<u32>> = HashMap::new();
            for (index, symbol) in (0..)
                .zip(table.iter())
                .filter(|(_, symbol)| symbol.is_defined() || symbol.value != 0)
            {
                if let Some(name) = facts.string(symbol.name.into()) {
                    names.entry(name).or_default().push(index);
                }
            }
            Hash::Names(names)
        });
        Self { facts, table, versions, names, has_versions, hash }
    }

    /// The dynamic section.
    pub fn facts(&self) -> &DynamicFacts<'a> {
        &self.facts
    }

    /// The symbols.
    pub fn table(&self) -> &SymbolTable<'a> {
        &self.table
    }

    /// What this module's symbol of this number refers to.
    pub fn wanted(&self, index: u32, needs_definition: bool) -> Option<(Symbol, Wanted<'a>)> {
        let symbol = self.table.get(index)?;
        let name = self.facts.string(symbol.name.into())?;
        let number = self.versions.number(index).unwrap_or(0) & !HIDDEN;
        // 0 is local, 1 without version.
        let version = self.names.get(&number).copied();
        Some((symbol, Wanted { name, hash: hash(name), version, needs_definition }))
    }

    /// What a loader may take for this name, whatever its version: a definition, or the address by which
    /// a program calls a function of another module (which dl_lookup_symbol_x takes for one).
    pub fn named(&self, name: &[u8]) -> impl Iterator<Item = Symbol> {
        let found = [true, false].map(|needs_definition| {
            let wanted = Wanted { name, hash: hash(name), version: None, needs_definition };
            self.find(&wanted, true)
        });
        found.into_iter().flatten()
    }

    /// The definition that a loader takes. `by_name` as musl does: the default version is taken, whatever
    /// is asked for.
    pub fn find(&self, wanted: &Wanted<'_>, by_name: bool) -> Option<Symbol> {
        let mut single = Vec::new();
        let mut check = |index: u32| {
            let symbol = self.table.get(index)?;
            match self.fits(index, &symbol, wanted, by_name) {
                Fit::Yes => return Some(symbol),
                Fit::OnlyIfSingle => single.push(symbol),
                Fit::No => {}
            }
            None
        };
        let found = match &self.hash {
            Hash::Gnu(table) => table.candidates(wanted.hash).find_map(&mut check),
            Hash::Names(names) => {
                names.get(wanted.name).into_iter().flatten().find_map(|&index| check(index))
            }
        };
        found.or_else(|| single.first().copied().filter(|_| single.len() == 1))
    }

    fn fits(&self, index: u32, symbol: &Symbol, wanted: &Wanted<'_>, by_name: bool) -> Fit {
        let is_kind = matches!(
            symbol.kind(),
            STT_NOTYPE | STT_OBJECT | STT_FUNC | STT_COMMON | STT_TLS | STT_GNU_IFUNC
        );
        let has_value = symbol.value != 0 || symbol.kind() == STT_TLS || symbol.section == SHN_ABS;
        let is_there = symbol.is_defined() || !wanted.needs_definition;
        let is_bound = matches!(symbol.binding(), STB_GLOBAL | STB_WEAK | STB_GNU_UNIQUE);
        let is_hidden = matches!(st_visibility(symbol.other), STV_HIDDEN | STV_INTERNAL);
        if !is_kind
            || !has_value
            || !is_there
            || !is_bound
            || is_hidden
            || self.facts.string(symbol.name.into()) != Some(wanted.name)
        {
            return Fit::No;
        }
        let Some(number) = self.versions.number(index).filter(|_| self.has_versions) else {
            return Fit::Yes;
        };
        let (number, hidden) = (number & !HIDDEN, number & HIDDEN != 0);
        if by_name {
            return if hidden && symbol.is_defined() { Fit::No } else { Fit::Yes };
        }
        match (wanted.version, self.names.get(&number)) {
            (Some(version), Some(name)) if *name == version => Fit::Yes,
            (Some(_), Some(_)) => Fit::No,
            // A definition without version satisfies every reference.
            (Some(_), None) if hidden => Fit::No,
            (Some(_), None) => Fit::Yes,
            // The oldest version has number 2 where the file has versions of its own.
            (None, _) if number <= 2 => Fit::Yes,
            (None, _) if hidden => Fit::No,
            (None, _) => Fit::OnlyIfSingle,
        }
    }
}

impl<'a> GnuHash<'a> {
    /// Number of buckets, first symbol, words of the Bloom filter, shift; filter; buckets; a value
    /// for each symbol from the first on, whose lowest bit ends a bucket's chain.
    fn read(facts: &DynamicFacts<'a>) -> Option<Self> {
        let table = facts.file().from(facts.value(dynamic::DT_GNU_HASH)?)?;
        let word = |at: usize| {
            table.get(at..at + 4)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
        };
        let (buckets, first, filter, shift) = (word(0)?, word(4)?, word(8)?, word(12)?);
        let size = facts.file().address_size();
        let filter_end = (filter as usize).checked_mul(size)?.checked_add(16)?;
        let buckets_end = (buckets as usize).checked_mul(4)?.checked_add(filter_end)?;
        Some(Self {
            filter: table.get(16..filter_end)?,
            word: size,
            shift,
            buckets: table.get(filter_end..buckets_end)?.as_chunks().0,
            first,
            chains: table.get(buckets_end..)?.as_chunks().0,
        })
    }

    /// The indices of the symbols that may have a name of this hash.
    fn candidates(&self, hash: u32) -> impl Iterator<Item = u32> {
        let passes = || {
            let bits = 8 * self.word as u32;
            let index = (hash / bits) as usize % (self.filter.len() / self.word).max(1);
            let mut word = [0; 8];
            word[..self.word].copy_from_slice(self.filter.chunks_exact(self.word).nth(index)?);
            let word = u64::from_le_bytes(word);
            let second = hash.checked_shr(self.shift).unwrap_or(0) % bits;
            (word >> (hash % bits) & word >> second & 1 != 0).then_some(())
        };
        let first = passes().and_then(|()| {
            let bucket = self.buckets.get(hash as usize % self.buckets.len().max(1))?;
            u32::from_le_bytes(*bucket).checked_sub(self.first)
        });
        let mut next = first;
        std::iter::from_fn(move || {
            loop {
                let at = next?;
                let value = u32::from_le_bytes(*self.chains.get(at as usize)?);
                next = if value & 1 == 0 { at.checked_add(1) } else { None };
                if (value ^ hash) >> 1 == 0 {
                    return at.checked_add(self.first);
                }
            }
        })
    }
}

/// The hash of a name in DT_GNU_HASH.
fn hash(name: &[u8]) -> u32 {
    name.iter()
        .fold(5381, |hash, &byte| u32::wrapping_add(u32::wrapping_mul(hash, 33), byte.into()))
}
