//! Calls of imports in i386 code (psABI, "Global Offset Table" and "Procedure Linkage Table"). First whatever may be a
//! reference to a word of the GOT or to a stub is looked for, by its four bytes: a distance from the next instruction,
//! one from where %ebx points, or an address. Then the functions are decoded in which there is one.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;

use goblin::elf::header::ET_EXEC;

use super::arguments::{Known, Use, follow};
use super::got::{near, table};
use super::plt::{ENDBR32, jump};
use crate::machine::{Call, Uses};
use crate::{ElfFile, Functions};

/// The largest function that is decoded, in bytes.
const LARGEST_FUNCTION: u64 = 1 << 20;

/// See [`crate::machine::Machine::uses`].
pub fn uses(elf: &ElfFile<'_>, imports: &[Vec<u64>]) -> Vec<Uses> {
    let slots = imports.iter().enumerate();
    let slots = slots.flat_map(|(import, words)| words.iter().map(move |&word| (word, import)));
    let slots: HashMap<u64, usize> = slots.collect();
    let facts = elf.dynamic().ok().flatten();
    let table = facts.and_then(|facts| table(elf, &facts));
    let code: Vec<(&[u8], u64)> = elf
        .distinct_loads()
        .into_iter()
        .filter(|(load, _)| load.is_executable())
        .map(|(load, bytes)| (bytes, load.p_vaddr))
        .collect();
    let is_fixed = elf.header().e_type == ET_EXEC;
    let jumps = jumps(&code, &slots, table.unwrap_or(0));
    let stubs: HashMap<u64, usize> =
        jumps.iter().map(|jump| (jump.start, slots[&jump.slot])).collect();
    let own: HashSet<u64> = jumps.iter().map(|jump| jump.at).collect();
    let known = Known { elf, slots: &slots, stubs: &stubs, jumps: &own, table, is_fixed };
    let mut found = vec![Found::default(); imports.len()];
    decode(&known, &code, &mut found);
    // A jump that nobody calls is no stub, but a call at the end of a function.
    for jump in jumps.iter().filter(|jump| !jump.is_lazy) {
        let found = &mut found[stubs[&jump.start]];
        if found.calls.is_empty() && !found.taken {
            found.calls.insert(jump.at, [None; 4]);
        }
    }
    let uses = found.into_iter().map(|Found { calls, taken }| {
        let calls = calls.into_iter().map(|(at, arguments)| Call { at, arguments });
        Uses { calls: calls.collect(), taken }
    });
    uses.collect()
}

#[derive(Clone, Debug, Default)]
struct Found {
    calls: BTreeMap<u64, [Option<u64>; 4]>,
    taken: bool,
}

/// A jump to an import.
struct Jump {
    /// Its address.
    at: u64,
    /// Where its stub begins.
    start: u64,
    slot: u64,
    /// It is followed by what binds it lazily: `push offset; jmp`.
    is_lazy: bool,
}

/// All jumps to imports, most of them entries of procedure linkage tables.
fn jumps(code: &[(&[u8], u64)], slots: &HashMap<u64, usize>, table: u64) -> Vec<Jump> {
    let mut found = Vec::new();
    for &(bytes, base) in code {
        for at in memchr::memchr_iter(0xff, bytes) {
            let Some(slot) = jump(&bytes[at..], table).filter(|slot| slots.contains_key(slot))
            else {
                continue;
            };
            let start = start_of_stub(bytes, at);
            let is_lazy = bytes.get(at + 6) == Some(&0x68) && bytes.get(at + 11) == Some(&0xe9);
            let (at, start) = (base + at as u64, base + start as u64);
            found.push(Jump { at, start, slot, is_lazy });
        }
    }
    found
}

/// Where a stub begins whose jump is at `at`: maybe with the mark of branch tracking, and behind that with the offset of
/// its relocation in %ecx, as mold writes it.
fn start_of_stub(bytes: &[u8], at: usize) -> usize {
    const MOV_ECX: u8 = 0xb9;
    const LEN: usize = 5;
    let offset = at.checked_sub(LEN).filter(|&before| bytes[before] == MOV_ECX);
    let marked = |at: usize| bytes[..at].ends_with(&ENDBR32).then(|| at - ENDBR32.len());
    offset.and_then(marked).or_else(|| marked(at)).unwrap_or(at)
}

/// Decodes the functions in which there may be references.
fn decode(known: &Known<'_>, code: &[(&[u8], u64)], found: &mut [Found]) {
    let functions = known.elf.functions();
    let mut decoded: BTreeSet<(u64, u64)> = BTreeSet::new();
    // Functions that overlap are damage, which must not cost more than the code is long.
    let mut budget = 2 * code.iter().map(|(bytes, _)| bytes.len() as u64).sum::<u64>();
    for &(bytes, base) in code {
        let mut behind = 0;
        for (at, import) in references(known, bytes, base) {
            if at < behind {
                continue;
            }
            let range = function(functions.as_ref(), bytes, base, at).unwrap_or(at..at);
            let len = range.end - range.start;
            let is_new = decoded.insert((range.start, range.end));
            if len == 0 || (is_new && len > budget) {
                found[import].taken = true;
            } else if is_new {
                budget -= len;
                behind = range.end;
                let first = (range.start - base) as usize;
                let function = &bytes[first..first + len as usize];
                follow(known, function, range.start, |at, import, way| match way {
                    Use::Call(arguments) => {
                        found[import].calls.insert(at, arguments);
                    }
                    Use::Taken => found[import].taken = true,
                });
            }
        }
    }
}

/// Where four bytes stand that may refer to an import: their addresses, ascending, and which import. A stub's own
/// are none.
fn references<'a>(
    known: &'a Known<'a>,
    bytes: &'a [u8],
    base: u64,
) -> impl Iterator<Item = (u64, usize)> + use<'a> {
    let stubs = Near::new(known.stubs);
    let slots = Near::new(known.slots);
    let words = if known.slots.is_empty() { 0 } else { bytes.len().saturating_sub(3) };
    (0..words).filter_map(move |at| {
        let word: [u8; 4] = bytes[at..at + 4].try_into().ok()?;
        let absolute = u64::from(u32::from_le_bytes(word));
        let here = base + at as u64;
        let next = near(here + 4, word);
        let before = &bytes[at.saturating_sub(2)..at];
        let by_distance = || {
            stubs
                .get(next)
                .filter(|_| matches!(before, [.., 0xe8 | 0xe9] | [.., 0x0f, 0x80..=0x8f]))
        };
        let by_table = || known.table.and_then(|table| slots.get(near(table, word)));
        let by_address = || slots.get(absolute).or_else(|| stubs.get(absolute));
        let import = by_distance()
            .or_else(|| by_table().filter(|_| is_based(before)))
            .or_else(|| by_address().filter(|_| known.is_fixed))?;
        let is_stub = known.jumps.contains(&here.wrapping_sub(2));
        (!is_stub).then_some((here, import))
    })
}

/// Whether bytes in front of a distance may be of an instruction whose operand is at a register's value and that
/// distance: its ModRM byte.
fn is_based(before: &[u8]) -> bool {
    matches!(before, [.., mode] if mode & 0xc0 == 0x80 && mode & 7 != 4)
}

/// A look-up that first asks whether an address is near any.
struct Near<'a> {
    low: u64,
    span: u64,
    all: &'a HashMap<u64, usize>,
}

impl<'a> Near<'a> {
    fn new(all: &'a HashMap<u64, usize>) -> Self {
        let low = all.keys().copied().min().unwrap_or(u64::MAX);
        let high = all.keys().copied().max().unwrap_or(0);
        Self { low, span: high.saturating_sub(low), all }
    }

    fn get(&self, address: u64) -> Option<usize> {
        (address.wrapping_sub(self.low) <= self.span)
            .then(|| self.all.get(&address))
            .flatten()
            .copied()
    }
}

/// The function that an instruction is in, within its segment; where nothing tells where functions
/// begin, the segment, whose code compilers leave without gaps that cannot be decoded.
fn function(
    functions: Option<&Functions<'_>>,
    bytes: &[u8],
    base: u64,
    at: u64,
) -> Option<Range<u64>> {
    let range = functions.map_or(Some(base..u64::MAX), |functions| functions.around(at))?;
    let end = range.end.min(base.saturating_add(bytes.len() as u64));
    let is_sound = range.start >= base && range.start <= at && at < end;
    (is_sound && end - range.start <= LARGEST_FUNCTION).then_some(range.start..end)
}
