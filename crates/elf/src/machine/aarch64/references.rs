//! Code that takes the address of something: `adrp` and `add`, or `adr`.

use super::follow::{Value, follow_what_may_be};
use crate::ElfFile;

/// See [`crate::machine::Machine::functions_that_refer_to`].
pub fn functions_that_refer_to(elf: &ElfFile<'_>, addresses: &[u64]) -> Vec<u64> {
    let Some(functions) = elf.functions() else { return Vec::new() };
    let mut found = Vec::new();
    for (load, bytes) in elf.distinct_loads().into_iter().filter(|(load, _)| load.is_executable()) {
        follow_what_may_be(elf, bytes, load.p_vaddr, |at, instruction, registers| {
            if let Some((_, Value::Constant(address))) = registers.result(instruction)
                && addresses.contains(&address)
            {
                found.extend(functions.covering(at));
            }
        });
    }
    found.sort_unstable();
    found.dedup();
    found
}
