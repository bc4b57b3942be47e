//! Calls of imports in x86-64 code (psABI 5.2, GOT and PLT). Code is not decoded
//! as a whole: what refers to a word of the GOT does so by its distance, and four bytes that happen
//! to be that distance are rare. Only functions in which there is a call are decoded.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use super::arguments::arguments;
use crate::machine::{Call, Uses};
use crate::{ElfFile, Functions};

/// The largest function that is decoded, in bytes.
const LARGEST_FUNCTION: u64 = 1 << 20;

/// See [`crate::machine::Machine::uses`].
pub fn uses(elf: &ElfFile<'_>, imports: &[Vec<u64>]) -> Vec<Uses> {
    let mut found = vec![Found::default(); imports.len()];
    let slots = imports.iter().enumerate();
    let slots = slots.flat_map(|(import, words)| words.iter().map(move |&word| (word, import)));
    let slots: HashMap<u64, usize> = slots.collect();
    let code: Vec<(&[u8], u64)> = elf
        .distinct_loads()
        .into_iter()
        .filter(|(load, _)| load.is_executable())
        .map(|(load, bytes)| (bytes, load.p_vaddr))
        .collect();
    // Entries of procedure linkage tables, and what may be one.
    let mut stubs: HashMap<u64, usize> = HashMap::new();
    let mut jumps = Vec::new();
    for &(bytes, base) in &code {
        for (at, target) in references(bytes, base, &slots) {
            let import = slots[&target];
            match before(bytes, at) {
                [.., 0xff, 0x15] => found[import].calls.push(base + at as u64 - 2),
                [.., 0xff, 0x25] => {
                    let start = base + stub(bytes, at) as u64;
                    stubs.insert(start, import);
                    if !is_lazy(bytes, at) {
                        jumps.push((start, base + at as u64 - 2, import));
                    }
                }
                [.., modrm] if is_relative(modrm) => found[import].taken = true,
                _ => {}
            }
        }
    }
    let mut called = BTreeSet::new();
    for &(bytes, base) in &code {
        for (at, target) in references(bytes, base, &stubs) {
            let import = stubs[&target];
            match before(bytes, at) {
                [.., 0xe8 | 0xe9] => found[import].calls.push(base + at as u64 - 1),
                [.., 0x0f, 0x80..=0x8f] => found[import].calls.push(base + at as u64 - 2),
                [.., modrm] if is_relative(modrm) => found[import].taken = true,
                _ => continue,
            }
            called.insert(target);
        }
    }
    // A jump that nobody calls is no stub, but a call at the end of a function.
    for (start, at, import) in jumps {
        if !called.contains(&start) {
            found[import].calls.push(at);
        }
    }
    with_arguments(elf, &code, found)
}

#[derive(Clone, Debug, Default)]
struct Found {
    calls: Vec<u64>,
    taken: bool,
}

/// Where four bytes stand that are the distance from behind them to one of the targets.
fn references<'a>(
    bytes: &'a [u8],
    base: u64,
    targets: &'a HashMap<u64, usize>,
) -> impl Iterator<Item = (usize, u64)> + use<'a> {
    let low = targets.keys().copied().min().unwrap_or(u64::MAX);
    let high = targets.keys().copied().max().unwrap_or(0);
    let span = high.wrapping_sub(low);
    let words = if targets.is_empty() { 0 } else { bytes.len().saturating_sub(3) };
    (0..words).filter_map(move |at| {
        let distance = i32::from_le_bytes(bytes[at..at + 4].try_into().ok()?);
        let target = base.wrapping_add(at as u64 + 4).wrapping_add_signed(distance.into());
        let is_near = target.wrapping_sub(low) <= span;
        (is_near && targets.contains_key(&target)).then_some((at, target))
    })
}

/// The bytes in front of `at`, two at most.
fn before(bytes: &[u8], at: usize) -> &[u8] {
    &bytes[at.saturating_sub(2)..at]
}

/// Whether a ModRM byte says that a distance from the next instruction follows.
fn is_relative(modrm: &u8) -> bool {
    modrm & 0xc7 == 0x05
}

/// Where the stub begins whose jump has its distance at `at`: maybe with `bnd` and `endbr64`.
fn stub(bytes: &[u8], at: usize) -> usize {
    const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
    let jump = at - 2;
    let jump = if bytes[..jump].ends_with(&[0xf2]) { jump - 1 } else { jump };
    if bytes[..jump].ends_with(&ENDBR64) { jump - 4 } else { jump }
}

/// Whether a jump is followed by what binds it lazily: `push index; jmp`.
fn is_lazy(bytes: &[u8], at: usize) -> bool {
    bytes.get(at + 4) == Some(&0x68) && bytes.get(at + 9) == Some(&0xe9)
}

/// Decodes the functions that calls are in.
fn with_arguments(elf: &ElfFile<'_>, code: &[(&[u8], u64)], found: Vec<Found>) -> Vec<Uses> {
    let functions = elf.functions();
    let mut by_function: BTreeMap<(u64, u64), BTreeSet<u64>> = BTreeMap::new();
    let mut known: HashMap<u64, Option<[Option<u64>; 4]>> = HashMap::new();
    for &at in found.iter().flat_map(|found| &found.calls) {
        match function(functions.as_ref(), code, at) {
            Some(range) => {
                by_function.entry((range.start, range.end)).or_default().insert(at);
            }
            None => {
                known.insert(at, Some([None; 4]));
            }
        }
    }
    // Functions that overlap are damage, which must not cost more than the code is long.
    let mut budget = 2 * code.iter().map(|(bytes, _)| bytes.len() as u64).sum::<u64>();
    for ((start, end), calls) in by_function {
        let bytes = code.iter().find_map(|(bytes, base)| {
            let first = usize::try_from(start.checked_sub(*base)?).ok()?;
            bytes.get(first..first.checked_add((end - start) as usize)?)
        });
        match bytes.filter(|_| budget >= end - start) {
            Some(bytes) => {
                budget -= end - start;
                known.extend(arguments(bytes, start, &calls));
            }
            None => known.extend(calls.into_iter().map(|at| (at, Some([None; 4])))),
        }
    }
    let uses = found.into_iter().map(|Found { mut calls, taken }| {
        calls.sort_unstable();
        calls.dedup();
        let call = |at: u64| Some(Call { at, arguments: (*known.get(&at)?)? });
        Uses { calls: calls.into_iter().filter_map(call).collect(), taken }
    });
    uses.collect()
}

/// The function that an instruction is in, within its segment; where nothing tells where functions
/// begin, the segment, whose code compilers leave without gaps that cannot be decoded.
fn function(
    functions: Option<&Functions<'_>>,
    code: &[(&[u8], u64)],
    at: u64,
) -> Option<Range<u64>> {
    let within = |(bytes, base): &&(&[u8], u64)| {
        at.checked_sub(*base).is_some_and(|offset| offset < bytes.len() as u64)
    };
    let (bytes, base) = code.iter().find(within)?;
    let range = functions.map_or(Some(*base..u64::MAX), |functions| functions.around(at))?;
    let end = range.end.min(base.saturating_add(bytes.len() as u64));
    let is_sound = range.start >= *base && range.start <= at && at < end;
    (is_sound && end - range.start <= LARGEST_FUNCTION).then_some(range.start..end)
}
