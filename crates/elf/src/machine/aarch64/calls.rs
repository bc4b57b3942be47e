//! Calls of imports in AArch64 code: of stubs in the procedure linkage table, or by a register that gets the word of the
//! GOT; and their constant arguments (aapcs64, "Parameter passing": x0 to x7).

use std::collections::{BTreeMap, HashMap, HashSet};

use super::follow::{KEPT, Registers, Value, follow};
use super::instruction::{BTI_C, Instruction, instructions};
use super::plt::entry;
use crate::ElfFile;
use crate::machine::{Call, Uses};

#[derive(Clone, Debug, Default)]
struct Found {
    calls: BTreeMap<u64, [Option<u64>; 4]>,
    taken: bool,
}

/// See [`crate::machine::Machine::uses`].
pub fn uses(elf: &ElfFile<'_>, imports: &[Vec<u64>]) -> Vec<Uses> {
    let slots = imports.iter().enumerate();
    let slots = slots.flat_map(|(import, words)| words.iter().map(move |&word| (word, import)));
    let slots: HashMap<u64, usize> = slots.collect();
    let mut found = vec![Found::default(); imports.len()];
    if slots.is_empty() {
        return found.into_iter().map(|_| Uses::default()).collect();
    }
    let loads = elf.distinct_loads().into_iter().filter(|(load, _)| load.is_executable());
    let code: Vec<(&[u8], u64)> = loads.map(|(load, bytes)| (bytes, load.p_vaddr)).collect();
    let mut stubs = Stubs::default();
    for (bytes, base) in &code {
        stubs.find(bytes, *base, &slots);
    }
    for (bytes, base) in &code {
        // Loads of words, until they are called: the register, and which import it is.
        let mut loaded: BTreeMap<u8, usize> = BTreeMap::new();
        follow(elf, bytes, *base, |at, instruction, registers| {
            if stubs.own.contains(&at) {
                return;
            }
            let import = |register| match registers.get(register) {
                Value::WordAt(word) => slots.get(&word).copied(),
                _ => None,
            };
            let call = match instruction {
                Instruction::Call(to) | Instruction::Branch(to) | Instruction::Conditional(to) => {
                    stubs.starts.get(&to).copied()
                }
                Instruction::CallRegister(register) | Instruction::BranchRegister(register) => {
                    // Where calls keep the register, it may be called again where that is not seen.
                    if !KEPT.contains(&usize::from(register)) {
                        loaded.remove(&register);
                    }
                    import(register)
                }
                _ => None,
            };
            if let Some(import) = call {
                found[import].calls.insert(at, arguments(registers));
            }
            match registers.result(instruction) {
                Some((to, Value::WordAt(word))) => {
                    // What is loaded and not called is taken; what is moved is called where it is then.
                    if let Instruction::Move(_, from, _) = instruction {
                        loaded.remove(&from);
                    }
                    let before = match slots.get(&word) {
                        Some(&import) => loaded.insert(to, import),
                        None => loaded.remove(&to),
                    };
                    if let Some(import) = before {
                        found[import].taken = true;
                    }
                }
                Some((_, Value::Constant(value))) => {
                    if let Some(&import) = stubs.starts.get(&value).or_else(|| slots.get(&value)) {
                        found[import].taken |= !is_page(instruction);
                    }
                }
                _ => {}
            }
        });
        for import in loaded.into_values() {
            found[import].taken = true;
        }
    }
    let uses = found.into_iter().map(|Found { calls, taken }| {
        let calls = calls.into_iter().map(|(at, arguments)| Call { at, arguments });
        Uses { calls: calls.collect(), taken }
    });
    uses.collect()
}

/// Whether an instruction has the address of a page, which is half of an address.
fn is_page(instruction: Instruction) -> bool {
    matches!(instruction, Instruction::Address(_, address) if address & 0xfff == 0)
}

fn arguments(registers: &Registers) -> [Option<u64>; 4] {
    [0, 1, 2, 3].map(|register| registers.constant(register))
}

/// Entries of procedure linkage tables.
#[derive(Debug, Default)]
struct Stubs {
    /// Where they begin, maybe with `bti c`, and which import they jump to.
    starts: HashMap<u64, usize>,
    /// The addresses of their instructions.
    own: HashSet<u64>,
}

impl Stubs {
    fn find(&mut self, bytes: &[u8], base: u64, slots: &HashMap<u64, usize>) {
        let words: Vec<u32> = instructions(bytes, base).map(|(_, word)| word).collect();
        for number in 0..words.len() {
            let at = base.wrapping_add(4 * number as u64);
            let Some((len, slot)) = entry(&words[number..], at) else { continue };
            let Some(&import) = slots.get(&slot) else { continue };
            self.starts.insert(at, import);
            if number > 0 && words[number - 1] == BTI_C {
                self.starts.insert(at.wrapping_sub(4), import);
            }
            self.own.extend((0..len as u64).map(|number| at.wrapping_add(4 * number)));
        }
    }
}
