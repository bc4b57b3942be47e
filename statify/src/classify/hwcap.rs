//! What follows one bit of AT_HWCAP or its kind in the loader's data: what the C library keeps of the CPU as yes or no, for
//! functions that it chooses later and for libraries that are opened later.
//!
//! A bit by which glibc up to 2.36 searches other directories changes how much the loader allocates. The libraries are embedded
//! that all CPUs have, with what the loader has allocated for them; so nothing follows such a bit.

use std::collections::{BTreeMap, BTreeSet};

use statify_elf::ElfFile;
use statify_elf::machine::Cpu;

use crate::capture::Capture;
use crate::capture::short_run::LoaderMemory;

/// Bytes of a field of a follower.
const WIDTH: usize = 4;

/// A field of four bytes of which some follow a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follower {
    /// Its address in the first capture, a multiple of four.
    pub address: u64,
    /// The bit, as [`Cpu::coded_bit`] counts it.
    pub bit: u16,
    /// By how much the field is larger where the bit is set.
    pub larger: i32,
}

/// Finds them, by the loader's memory on the least CPU and on each of [`Cpu::coded`]. What depends on several bits is none.
pub fn followers(first: &Capture, least: &LoaderMemory, coded: &[LoaderMemory]) -> Vec<Follower> {
    let alike =
        |other: &LoaderMemory| other.start == least.start && other.bytes.len() == least.bytes.len();
    if !coded.iter().all(alike) {
        return Vec::new();
    }
    let bytes: Vec<&[u8]> = coded.iter().map(|memory| &memory.bytes[..]).collect();
    // The hand-off is later than the runs; what has changed meanwhile is not understood.
    let is_unchanged = |follower: &Follower| {
        let at = (follower.address - least.start) as usize;
        let within = follower.address % first.machine.word();
        let own = first.word(follower.address - within).unwrap_or(0) >> (8 * within);
        least.bytes[at..at + WIDTH] == (own as u32).to_le_bytes()
    };
    let mut followers = compare(least.start, &least.bytes, &bytes, Cpu::coded_bit);
    let end = first.loader().and_then(|loader| {
        let elf = ElfFile::parse(&loader.bytes).ok()?;
        let bias = loader.range.start.wrapping_sub(elf.span()?.start);
        let ends = elf.loads().map(|load| load.p_vaddr.wrapping_add(load.p_memsz));
        Some(bias.wrapping_add(ends.max()?))
    });
    let is_allocated = |follower: &&Follower| end.is_none_or(|end| follower.address >= end);
    let shaping: BTreeSet<u16> =
        followers.iter().filter(is_allocated).map(|follower| follower.bit).collect();
    followers.retain(|follower| !shaping.contains(&follower.bit) && is_unchanged(follower));
    followers
}

/// The comparison, of memory that begins at `start`, a multiple of four. `bit_of` tells the bit that is set in the runs in which
/// a byte differs.
fn compare(
    start: u64,
    least: &[u8],
    coded: &[&[u8]],
    bit_of: impl Fn(&[bool]) -> Option<u16>,
) -> Vec<Follower> {
    let mut found: BTreeMap<(usize, u16), i32> = BTreeMap::new();
    for at in (0..least.len() / WIDTH * WIDTH).step_by(WIDTH) {
        let field = at..at + WIDTH;
        if coded.iter().all(|other| other[field.clone()] == least[field.clone()]) {
            continue;
        }
        for byte in field {
            let differs: Vec<bool> = coded.iter().map(|other| other[byte] != least[byte]).collect();
            let values =
                || coded.iter().map(|other| other[byte]).filter(|value| *value != least[byte]);
            let Some(value) = values().next() else { continue };
            let Some(bit) = bit_of(&differs).filter(|_| values().all(|one| one == value)) else {
                continue;
            };
            let larger = i32::from(value) - i32::from(least[byte]);
            let larger = larger.wrapping_shl(8 * (byte - at) as u32);
            let sum = found.entry((at, bit)).or_default();
            *sum = sum.wrapping_add(larger);
        }
    }
    let follower = |((at, bit), larger)| Follower { address: start + at as u64, bit, larger };
    found.into_iter().map(follower).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two of four digits are 1.
    const CODES: [[bool; 4]; 2] = [[true, true, false, false], [true, false, true, false]];

    #[test]
    fn fields_that_follow_one_bit() {
        let least = [7, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0];
        let runs: Vec<[u8; 12]> = (0..4)
            .map(|run| {
                let [one, other] = CODES.map(|code| code[run]);
                let mut memory = least;
                (memory[0], memory[1], memory[3]) = (7 - u8::from(one), other.into(), one.into());
                // What varies by itself, by both and by one of the two follows none.
                memory[4] = run as u8;
                (memory[8], memory[9]) = ((one && other).into(), (one || other).into());
                memory
            })
            .collect();
        let runs: Vec<&[u8]> = runs.iter().map(|memory| &memory[..]).collect();
        let bit = |differs: &[bool]| {
            let number = CODES.iter().position(|code| code == differs)?;
            Some(number as u16)
        };
        let follower = |bit, larger| Follower { address: 0x1000, bit, larger };
        let expected = [follower(0, (1 << 24) - 1), follower(1, 1 << 8)];
        assert_eq!(compare(0x1000, &least, &runs, bit), expected);
    }
}
