//! Code from its beginning to its end, with the registers that hold constants (aapcs64, "General-purpose registers").
//! Where something may come from elsewhere, nothing is known.

use super::instruction::{Instruction, instructions};
use crate::ElfFile;

/// What calls leave as it was, besides the stack pointer.
pub const KEPT: std::ops::RangeInclusive<usize> = 19..=29;
/// Numbered registers, and the place of none.
const REGISTERS: usize = 32;

/// What a register holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Value {
    /// Anything.
    #[default]
    Unknown,
    /// A number or an address, before any bias.
    Constant(u64),
    /// What the word at this address holds.
    WordAt(u64),
}

/// The registers before an instruction.
#[derive(Clone, Debug, Default)]
pub struct Registers([Value; REGISTERS]);

impl Registers {
    /// What the register of this number holds.
    pub fn get(&self, register: u8) -> Value {
        self.0.get(usize::from(register)).copied().unwrap_or_default()
    }

    /// A register's constant.
    pub fn constant(&self, register: u8) -> Option<u64> {
        match self.get(register) {
            Value::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// What an instruction puts into the register that it is there to write; none if it is not known, or none.
    pub fn result(&self, instruction: Instruction) -> Option<(u8, Value)> {
        let constant = |to, value: Option<u64>| Some((to, Value::Constant(value?)));
        match instruction {
            Instruction::Address(to, value) | Instruction::Constant(to, value) => {
                Some((to, Value::Constant(value)))
            }
            Instruction::Add(to, from, value) => {
                constant(to, self.constant(from).map(|from| from.wrapping_add(value)))
            }
            Instruction::Keep(to, value, shift) => {
                let kept = self.constant(to).map(|old| old & !(0xffff << shift) | value << shift);
                constant(to, kept)
            }
            Instruction::Move(to, 31, _) => Some((to, Value::Constant(0))),
            Instruction::Move(to, from, true) => Some((to, self.get(from))),
            Instruction::Move(to, from, false) => {
                constant(to, self.constant(from).map(|from| from & 0xffff_ffff))
            }
            Instruction::Load(to, from, distance) => {
                let at = self.constant(from)?.wrapping_add(distance);
                Some((to, Value::WordAt(at)))
            }
            _ => None,
        }
    }

    fn step(&mut self, instruction: Instruction) {
        let result = self.result(instruction);
        match instruction {
            Instruction::Address(to, _)
            | Instruction::Constant(to, _)
            | Instruction::Add(to, ..)
            | Instruction::Keep(to, ..)
            | Instruction::Move(to, ..)
            | Instruction::Load(to, ..) => {
                self.set(to, result.map_or(Value::Unknown, |(_, value)| value));
            }
            Instruction::Conditional(_) => {}
            Instruction::Call(_) | Instruction::CallRegister(_) => {
                for (number, value) in self.0.iter_mut().enumerate() {
                    if !KEPT.contains(&number) {
                        *value = Value::Unknown;
                    }
                }
            }
            Instruction::Branch(_) | Instruction::BranchRegister(_) | Instruction::Leave => {
                *self = Self::default();
            }
            Instruction::Other(written) => {
                written.into_iter().for_each(|register| self.set(register, Value::Unknown));
            }
        }
    }

    fn set(&mut self, register: u8, value: Value) {
        // 31 is the stack pointer or zero: never known.
        if let Some(place) = self.0.get_mut(usize::from(register)).filter(|_| register < 31) {
            *place = value;
        }
    }
}

/// Tells every instruction of some code of `elf`, its address, and the registers before it.
pub fn follow(
    elf: &ElfFile<'_>,
    bytes: &[u8],
    base: u64,
    tell: impl FnMut(u64, Instruction, &Registers),
) {
    in_order(elf, bytes, base, true, tell);
}

/// The same with what the registers may hold: what they hold if the instructions before are those that come before. In loops
/// a constant is often made before the loop.
pub fn follow_what_may_be(
    elf: &ElfFile<'_>,
    bytes: &[u8],
    base: u64,
    tell: impl FnMut(u64, Instruction, &Registers),
) {
    in_order(elf, bytes, base, false, tell);
}

/// `is_sure`: branches within functions are heeded, too.
fn in_order(
    elf: &ElfFile<'_>,
    bytes: &[u8],
    base: u64,
    is_sure: bool,
    mut tell: impl FnMut(u64, Instruction, &Registers),
) {
    let decoded =
        || instructions(bytes, base).map(|(at, word)| (at, Instruction::decode(word, at)));
    let span = base..base.saturating_add(bytes.len() as u64);
    let mut labels: Vec<u64> = decoded()
        .filter_map(|(_, instruction)| match instruction {
            Instruction::Branch(to) | Instruction::Conditional(to) => {
                Some(to).filter(|to| is_sure && span.contains(to))
            }
            Instruction::Call(to) => Some(to).filter(|to| span.contains(to)),
            _ => None,
        })
        .collect();
    // Functions whose calls are not seen.
    let functions = elf.functions();
    let starts = functions.iter().flat_map(|functions| functions.starts());
    labels.extend(starts.filter(|start| span.contains(start)));
    labels.sort_unstable();
    labels.dedup();
    let mut labels = labels.into_iter().peekable();
    let mut registers = Registers::default();
    for (at, instruction) in decoded() {
        if labels.next_if(|&label| label <= at).is_some() {
            registers = Registers::default();
        }
        tell(at, instruction, &registers);
        match instruction {
            // What comes behind it comes from elsewhere, in the same function.
            Instruction::Branch(_) if !is_sure => {}
            _ => registers.step(instruction),
        }
    }
}
