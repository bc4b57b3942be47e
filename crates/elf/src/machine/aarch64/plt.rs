//! Parts of a module's code whose extent the instructions tell: the procedure linkage table (sysvabi64, "Program
//! Linkage Table"; linkers agree on the instructions, which differ by whether branches are tracked and pointers
//! authenticated), and the C library's .init and .fini.

use std::collections::HashMap;

use goblin::elf::dynamic;

use super::instruction::{
    AUTIA1716, AUTIASP, BR_X17, BTI_C, Instruction, LEAVE_FRAME, RET, instructions,
};
use crate::machine::CodePart;
use crate::{DynamicFacts, ElfFile};

/// `stp x16, x30, [sp, #-16]!`, with which the first entry begins.
const SAVE: u32 = 0xa9bf_7bf0;
/// `stp x2, x3, [sp, #-16]!`, with which the code begins that binds thread-local variables lazily.
const SAVE_FOR_TLS: u32 = 0xa9bf_0fe2;
/// `nop`.
pub const NOP: u32 = 0xd503_201f;
/// The size of the first entry, in bytes.
const FIRST_ENTRY: u64 = 32;
/// Of what binds thread-local variables, likewise; with `bti c` one more instruction takes the place of padding.
const TLS_ENTRY: u64 = 32;

/// See [`crate::machine::Machine::lazy_targets`]: the first entry finds out by itself which slot it is about, so all
/// slots lead there.
pub fn lazy_targets(elf: &ElfFile<'_>, facts: &DynamicFacts<'_>) -> HashMap<u32, u64> {
    let Some(first) = first_entry(elf, facts) else { return HashMap::new() };
    (0..).zip(facts.plt_relocations()).map(|(index, _)| (index, first)).collect()
}

/// The first entry's address. It is found by what it loads: the third word of the table at DT_PLTGOT.
fn first_entry(elf: &ElfFile<'_>, facts: &DynamicFacts<'_>) -> Option<u64> {
    let got = facts.value(dynamic::DT_PLTGOT)?;
    code(elf).find_map(|(start, code)| {
        let at = instructions(code, start)
            .filter(|(_, word)| *word == SAVE)
            .map(|(at, _)| at)
            .find(|&at| binds(elf, at) == Some(got.wrapping_add(16)))?;
        let marked = at.checked_sub(4).and_then(|before| word_at(elf, before)) == Some(BTI_C);
        Some(if marked { at - 4 } else { at })
    })
}

/// The word from which the code behind `stp` at `at` takes where it jumps to.
fn binds(elf: &ElfFile<'_>, at: u64) -> Option<u64> {
    let page = at.checked_add(4)?;
    let load = at.checked_add(8)?;
    let Instruction::Address(16, base) = Instruction::decode(word_at(elf, page)?, page) else {
        return None;
    };
    match Instruction::decode(word_at(elf, load)?, load) {
        Instruction::Load(17, 16, distance) => Some(base.wrapping_add(distance)),
        _ => None,
    }
}

fn word_at(elf: &ElfFile<'_>, at: u64) -> Option<u32> {
    Some(u32::from_le_bytes(*elf.from(at)?.first_chunk()?))
}

/// Addresses and bytes of the segments with code.
fn code<'a>(elf: &ElfFile<'a>) -> impl Iterator<Item = (u64, &'a [u8])> {
    let code = elf.distinct_loads().into_iter().filter(|(load, _)| load.is_executable());
    code.map(|(load, bytes)| (load.p_vaddr, bytes))
}

/// See [`crate::machine::Machine::code_parts`].
pub fn code_parts(elf: &ElfFile<'_>, facts: &DynamicFacts<'_>) -> Vec<CodePart> {
    let mut parts = Vec::new();
    for (tag, name) in [(dynamic::DT_INIT, ".init"), (dynamic::DT_FINI, ".fini")] {
        let function = facts.value(tag).and_then(|start| Some((start, elf.from(start)?)));
        if let Some((start, len)) = function.and_then(|(start, code)| Some((start, frame(code)?))) {
            parts.push(CodePart { name, range: start..start.saturating_add(len), entry: 0 });
        }
    }
    parts.extend(table(elf, facts));
    parts
}

/// The first entry and those behind it.
fn table(elf: &ElfFile<'_>, facts: &DynamicFacts<'_>) -> Option<CodePart> {
    let start = first_entry(elf, facts)?;
    let first = start.checked_add(FIRST_ENTRY)?;
    let words: Vec<u32> = instructions(elf.from(first)?, first).map(|(_, word)| word).collect();
    let mut number = 0;
    let mut size = 0;
    while let Some(len) = whole_entry(&words[number..], first.wrapping_add(4 * number as u64)) {
        // All are alike.
        if size != 0 && len != size {
            break;
        }
        size = len;
        number += len;
    }
    let mut end = first.checked_add(4 * number as u64)?;
    let lazy = words.get(number..).is_some_and(|rest| {
        let rest = if rest.first() == Some(&BTI_C) { &rest[1..] } else { rest };
        rest.first() == Some(&SAVE_FOR_TLS)
    });
    if lazy {
        end = end.checked_add(TLS_ENTRY)?;
    }
    Some(CodePart { name: ".plt", range: start..end, entry: 4 * size as u64 })
}

/// How many instructions an entry has, with what marks its beginning and fills its end.
fn whole_entry(words: &[u32], at: u64) -> Option<usize> {
    let mark = usize::from(words.first() == Some(&BTI_C));
    let (len, _) = entry(words.get(mark..)?, at.wrapping_add(4 * mark as u64))?;
    let len = mark + len;
    let padding = words[len..].iter().take(2).take_while(|word| **word == NOP).count();
    // Entries have four instructions, or six.
    Some(if len > 4 || padding == 2 { 6 } else { 4 }).filter(|&len| words.len() >= len)
}

/// How many instructions an entry has from its `adrp` to its jump, and the slot that it takes its target from:
/// `adrp x16, slot; ldr x17, [x16, slot]; add x16, x16, slot; br x17`, with `autia1716` before the jump where pointers
/// are authenticated.
pub fn entry(words: &[u32], at: u64) -> Option<(usize, u64)> {
    let [page, load, add, rest @ ..] = words else { return None };
    let Instruction::Address(16, base) = Instruction::decode(*page, at) else { return None };
    let Instruction::Load(17, 16, distance) = Instruction::decode(*load, 0) else { return None };
    let Instruction::Add(16, 16, same) = Instruction::decode(*add, 0) else { return None };
    let len = match rest {
        [BR_X17, ..] => 4,
        [AUTIA1716, BR_X17, ..] => 5,
        _ => return None,
    };
    (same == distance).then(|| (len, base.wrapping_add(distance)))
}

/// The length of a function of crti.o and crtn.o: up to the return after its only stack frame.
fn frame(code: &[u8]) -> Option<u64> {
    let words: Vec<u32> = instructions(code, 0).map(|(_, word)| word).take(16).collect();
    let end = words
        .windows(3)
        .position(|words| matches!(words, [LEAVE_FRAME, RET, _] | [LEAVE_FRAME, AUTIASP, RET]));
    let end = end.map(|at| if words[at + 1] == RET { at + 2 } else { at + 3 })?;
    Some(4 * end as u64)
}

/// See [`crate::machine::Machine::is_lazy_stub`]: the first entry, of any slot.
pub fn is_lazy_stub(code: &[u8], _index: u32) -> bool {
    let mut words = instructions(code, 0).map(|(_, word)| word).take(4).peekable();
    words.next_if_eq(&BTI_C);
    let [Some(SAVE), Some(page), Some(load)] = [words.next(), words.next(), words.next()] else {
        return false;
    };
    matches!(Instruction::decode(page, 0), Instruction::Address(16, _))
        && matches!(Instruction::decode(load, 0), Instruction::Load(17, 16, _))
}
