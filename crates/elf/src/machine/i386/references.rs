//! Code that takes the address of something: `lea` at a distance from where %ebx or another register points that finds
//! constants, and, where code is not position-independent, the address itself (Intel SDM vol. 2, LEA).

use goblin::elf::header::ET_EXEC;

use super::got::{near, table};
use crate::ElfFile;

/// See [`crate::machine::Machine::functions_that_refer_to`].
pub fn functions_that_refer_to(elf: &ElfFile<'_>, addresses: &[u64]) -> Vec<u64> {
    const LEA: u8 = 0x8d;
    let facts = elf.dynamic().ok().flatten();
    let (Some(functions), Some(facts)) = (elf.functions(), facts) else { return Vec::new() };
    let table = table(elf, &facts);
    let is_fixed = elf.header().e_type == ET_EXEC;
    let mut found = Vec::new();
    for (load, bytes) in elf.distinct_loads().into_iter().filter(|(load, _)| load.is_executable()) {
        for (at, word) in bytes.windows(4).enumerate() {
            let Some(&word) = word.first_chunk::<4>() else { continue };
            let is_address = is_fixed && addresses.contains(&u64::from(u32::from_le_bytes(word)));
            // 8D, a ModRM byte that says that four bytes of distance follow.
            let is_lea =
                || matches!(bytes[..at], [.., LEA, mode] if mode & 0xc0 == 0x80 && mode & 7 != 4);
            let is_distance =
                || is_lea() && table.is_some_and(|table| addresses.contains(&near(table, word)));
            if is_address || is_distance() {
                found.extend(functions.covering(load.p_vaddr + at as u64));
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}
