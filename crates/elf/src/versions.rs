//! Symbol versions (LSB core, "Symbol Versioning"; the records have the same form in both classes).

use std::collections::HashMap;

use goblin::elf::dynamic;

use super::DynamicFacts;
use super::imports::name_at;

/// In DT_VERSYM: not the version that a reference without one gets.
pub const HIDDEN: u16 = 0x8000;
/// In vd_flags: the file's own name rather than a version.
const VER_FLG_BASE: u16 = 1;
/// In vna_flags: no error if the library lacks it.
const VER_FLG_WEAK: u16 = 2;

/// More records than this are no file's: a version's number has 15 bits. Lists may lead through each
/// other, so that their lengths multiply.
const MOST_RECORDS: usize = 1 << 15;

/// A version that a file wants of one of its libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeededVersion<'a> {
    /// The library, as in DT_NEEDED.
    pub library: &'a [u8],
    /// The version's name.
    pub name: &'a [u8],
    /// Its number in DT_VERSYM.
    pub number: u16,
    /// The library may lack it.
    pub weak: bool,
}

/// A version that a file defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its number in DT_VERSYM.
    pub number: u16,
    /// It stands for the file itself.
    pub base: bool,
}

/// The versions of a file's symbols.
#[derive(Clone, Debug)]
pub struct Versions<'a> {
    facts: DynamicFacts<'a>,
    numbers: &'a [u8],
    needed: Vec<NeededVersion<'a>>,
    defined: Vec<Version<'a>>,
    names: HashMap<u16, &'a [u8]>,
}

impl<'a> Versions<'a> {
    pub(super) fn read(facts: &DynamicFacts<'a>) -> Self {
        let numbers = facts.value(dynamic::DT_VERSYM).and_then(|at| facts.file().from(at));
        let needed = read_needed(facts).unwrap_or_default();
        let defined = read_defined(facts).unwrap_or_default();
        let names = needed.iter().map(|need| (need.number, need.name));
        let own = defined.iter().filter(|version| !version.base);
        let names = names.chain(own.map(|version| (version.number, version.name)));
        let names = names.collect();
        let facts = facts.clone();
        Self { facts, numbers: numbers.unwrap_or_default(), needed, defined, names }
    }

    /// DT_VERNEED.
    pub fn needed(&self) -> &[NeededVersion<'a>] {
        &self.needed
    }

    /// DT_VERDEF.
    pub fn defined(&self) -> &[Version<'a>] {
        &self.defined
    }

    /// A symbol's entry of DT_VERSYM, with [`HIDDEN`]; `None` if there are no versions.
    pub fn number(&self, symbol: u32) -> Option<u16> {
        let at = usize::try_from(symbol).ok()?.checked_mul(2)?;
        self.numbers.get(at..at.checked_add(2)?).map(|bytes| self.facts.file().half(bytes))
    }

    /// The name of the version with this number; none of 0 (local) and 1 (global).
    pub fn name(&self, number: u16) -> Option<&'a [u8]> {
        self.names.get(&(number & !HIDDEN)).copied()
    }
}

fn read_needed<'a>(facts: &DynamicFacts<'a>) -> Option<Vec<NeededVersion<'a>>> {
    let file = facts.file();
    // Once: a name may be asked for by each of many records.
    let strings = file.from(facts.value(dynamic::DT_STRTAB)?)?;
    let mut versions = Vec::new();
    let mut left = MOST_RECORDS;
    // Elfxx_Verneed: version, count, file, aux, next. Elfxx_Vernaux: hash, flags, other, name, next.
    for need in
        chain(facts, file.from(facts.value(dynamic::DT_VERNEED)?)?, 16, 12).take(MOST_RECORDS)
    {
        let Some(library) = name_at(strings, file.word(&need[4..])) else { continue };
        let Some(first) = need.get(file.word(&need[8..]) as usize..) else { continue };
        for aux in chain(facts, first, 16, 12).take(left) {
            left -= 1;
            let Some(name) = name_at(strings, file.word(&aux[8..])) else { continue };
            let weak = file.half(&aux[4..]) & VER_FLG_WEAK != 0;
            let number = file.half(&aux[6..]) & !HIDDEN;
            versions.push(NeededVersion { library, name, number, weak });
        }
    }
    Some(versions)
}

fn read_defined<'a>(facts: &DynamicFacts<'a>) -> Option<Vec<Version<'a>>> {
    let file = facts.file();
    // Once: a name may be asked for by each of many records.
    let strings = file.from(facts.value(dynamic::DT_STRTAB)?)?;
    let mut versions = Vec::new();
    // Elfxx_Verdef: version, flags, index, count, hash, aux, next. The first Elfxx_Verdaux: name.
    for definition in
        chain(facts, file.from(facts.value(dynamic::DT_VERDEF)?)?, 20, 16).take(MOST_RECORDS)
    {
        let Some(aux) = definition.get(file.word(&definition[12..]) as usize..) else { continue };
        if aux.len() < 8 {
            continue;
        }
        let Some(name) = name_at(strings, file.word(aux)) else { continue };
        let number = file.half(&definition[4..]) & !HIDDEN;
        let base = file.half(&definition[2..]) & VER_FLG_BASE != 0;
        versions.push(Version { name, number, base });
    }
    Some(versions)
}

/// The records of a list in which each, at least `len` bytes long, tells at `next` how far the next
/// one is: each with all that follows it.
fn chain<'a>(
    facts: &DynamicFacts<'a>,
    first: &'a [u8],
    len: usize,
    next: usize,
) -> impl Iterator<Item = &'a [u8]> {
    let file = facts.file().clone();
    let whole = move |record: &&[u8]| record.len() >= len;
    std::iter::successors(Some(first).filter(whole), move |record| {
        // Forwards only, so that damaged lists end.
        let distance = file.word(&record[next..]) as usize;
        record.get(distance..).filter(|_| distance != 0).filter(whole)
    })
}
