//! Parts of a module's code whose extent the instructions tell: the procedure linkage table (psABI,
//! "Procedure Linkage Table") in the forms that linkers write, and the C library's .init and .fini. Entries of
//! position-independent code find their slots by %ebx, others by addresses.

use std::collections::{HashMap, HashSet};

use goblin::elf::dynamic;
use goblin::elf::reloc::R_386_JMP_SLOT;

use super::got::{near, table};
use crate::machine::CodePart;
use crate::{DynamicFacts, ElfFile};

/// Of a PLT entry, in bytes.
const ENTRY: usize = 16;
/// `endbr32`, with which entries begin where indirect branches are tracked.
pub const ENDBR32: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfb];
/// The size of an Elf32_Rel, in bytes: entries push the offset of their relocation in DT_JMPREL.
const RELOCATION: u32 = 8;

/// See [`crate::machine::Machine::lazy_targets`].
pub fn lazy_targets(elf: &ElfFile<'_>, facts: &DynamicFacts<'_>) -> HashMap<u32, u64> {
    let Some((address, entries)) = lazy(elf, facts) else { return HashMap::new() };
    let targets = entries.iter().enumerate().skip(1).map_while(|(number, entry)| {
        let (second, index) = pushes(entry)?;
        Some((index, address + (number * ENTRY + second) as u64))
    });
    targets.collect()
}

/// The lazy PLT's address, and its entries with all that follows them. It is found by its first
/// entry: `push GOT[1]; jmp *GOT[2]`.
fn lazy<'a>(elf: &ElfFile<'a>, facts: &DynamicFacts<'a>) -> Option<(u64, &'a [[u8; ENTRY]])> {
    let got = facts.value(dynamic::DT_PLTGOT)?;
    let base = table(elf, facts)?;
    code(elf).find_map(|(start, code)| {
        let first = (start.checked_next_multiple_of(ENTRY as u64)? - start) as usize;
        let entries = code.get(first..)?.as_chunks::<ENTRY>().0;
        let at = entries.iter().position(|entry| begins(entry, got, base))?;
        Some((start + (first + at * ENTRY) as u64, &entries[at..]))
    })
}

/// Addresses and bytes of the segments with code.
fn code<'a>(elf: &ElfFile<'a>) -> impl Iterator<Item = (u64, &'a [u8])> {
    let code = elf.distinct_loads().into_iter().filter(|(load, _)| load.is_executable());
    code.map(|(load, bytes)| (load.p_vaddr, bytes))
}

/// See [`crate::machine::Machine::code_parts`].
pub fn code_parts(elf: &ElfFile<'_>, facts: &DynamicFacts<'_>) -> Vec<CodePart> {
    let mut parts = Vec::new();
    let mut from = code(elf).map(|(start, _)| start).min().unwrap_or(0);
    for (tag, name) in [(dynamic::DT_INIT, ".init"), (dynamic::DT_FINI, ".fini")] {
        let function = facts.value(tag).and_then(|start| Some((start, elf.from(start)?)));
        if let Some((start, len)) = function.and_then(|(start, code)| Some((start, frame(code)?))) {
            let range = start..start.saturating_add(len);
            if range.contains(&from) {
                from = range.end;
            }
            parts.push(CodePart { name, range, entry: 0 });
        }
    }
    if let Some((start, entries)) = lazy(elf, facts) {
        let count = 1 + entries[1..].iter().take_while(|entry| pushes(entry).is_some()).count();
        let range = start..start.saturating_add((count * ENTRY) as u64);
        from = range.end;
        parts.push(CodePart { name: ".plt", range, entry: ENTRY as u64 });
    }
    parts.extend(jumps(elf, facts, from));
    parts
}

/// The length of a function of crti.o and crtn.o: up to the return after its only stack frame.
fn frame(code: &[u8]) -> Option<u64> {
    // add esp, 8; pop ebx; ret
    const LEAVE: &[u8] = &[0x83, 0xc4, 0x08, 0x5b, 0xc3];
    let code = &code[..code.len().min(64)];
    let at = code.windows(LEAVE.len()).position(|bytes| bytes == LEAVE)?;
    Some((at + LEAVE.len()) as u64)
}

/// The entries that only jump: those to slots of the lazy PLT are .plt.sec, others .plt.got.
fn jumps(elf: &ElfFile<'_>, facts: &DynamicFacts<'_>, from: u64) -> Vec<CodePart> {
    let bound = facts.plt_relocations().filter(|entry| entry.kind == R_386_JMP_SLOT);
    let bound: HashSet<u64> = bound.map(|entry| entry.at).collect();
    let mut parts: Vec<CodePart> = Vec::new();
    let (Some(code), Some(base)) = (elf.from(from), table(elf, facts)) else { return parts };
    let padding = code.iter().take(ENTRY).take_while(|&&byte| byte == 0).count();
    let at = from.checked_add(padding as u64).and_then(|at| at.checked_next_multiple_of(8));
    let Some(mut at) = at else { return parts };
    while let Some((len, slot)) = elf.from(at).and_then(|code| only_jumps(code, base)) {
        let name = if bound.contains(&slot) { ".plt.sec" } else { ".plt.got" };
        let Some(end) = at.checked_add(len) else { break };
        match parts.last_mut() {
            Some(last) if last.name == name && last.entry == len => last.range.end = end,
            _ => parts.push(CodePart { name, range: at..end, entry: len }),
        }
        at = end;
    }
    parts
}

/// The length of an entry that only jumps, and the slot it takes its target from.
fn only_jumps(code: &[u8], base: u64) -> Option<(u64, u64)> {
    match code.strip_prefix(&ENDBR32) {
        Some(rest) => Some((16, jump(rest, base)?)),
        None => {
            jump(code, base).filter(|_| code.get(6..8) == Some(&[0x66, 0x90])).map(|slot| (8, slot))
        }
    }
}

/// The slot from which the jump that code begins with takes its target: `jmp *slot`, or `jmp *distance(%ebx)` with
/// %ebx at `base`.
pub fn jump(code: &[u8], base: u64) -> Option<u64> {
    let [opcode, mode, operand @ ..] = *code.first_chunk::<6>()?;
    slot([opcode, mode], operand, base, 0x25, 0xa3)
}

/// Where an instruction's operand is, if it is one of two forms: by address, or from %ebx.
fn slot(found: [u8; 2], operand: [u8; 4], base: u64, absolute: u8, relative: u8) -> Option<u64> {
    match found {
        [0xff, mode] if mode == absolute => Some(u32::from_le_bytes(operand).into()),
        [0xff, mode] if mode == relative => Some(near(base, operand)),
        _ => None,
    }
}

/// Whether this is the first entry of the PLT to the GOT at `got`.
fn begins(entry: &[u8; ENTRY], got: u64, base: u64) -> bool {
    let [opcode, mode, a, b, c, d, jump @ ..] = *entry;
    let pushed = slot([opcode, mode], [a, b, c, d], base, 0x35, 0xb3);
    let [opcode, mode, a, b, c, d, ..] = jump;
    let target = slot([opcode, mode], [a, b, c, d], base, 0x25, 0xa3);
    pushed == Some(got.wrapping_add(4)) && target == Some(got.wrapping_add(8))
}

/// Where in an entry the second half begins, and the index of the relocation whose offset it pushes.
fn pushes(entry: &[u8; ENTRY]) -> Option<(usize, u32)> {
    let (at, offset) = match *entry {
        // endbr32; push
        [0xf3, 0x0f, 0x1e, 0xfb, 0x68, a, b, c, d, ..] => (0, [a, b, c, d]),
        // jmp *slot; push
        [0xff, 0x25 | 0xa3, _, _, _, _, 0x68, a, b, c, d, ..] => (6, [a, b, c, d]),
        [0x68, a, b, c, d, ..] => (0, [a, b, c, d]),
        _ => return None,
    };
    index(offset).map(|index| (at, index))
}

/// The index of the relocation at an offset of DT_JMPREL.
fn index(offset: [u8; 4]) -> Option<u32> {
    let offset = u32::from_le_bytes(offset);
    offset.is_multiple_of(RELOCATION).then_some(offset / RELOCATION)
}

/// See [`crate::machine::Machine::is_lazy_stub`].
pub fn is_lazy_stub(code: &[u8], number: u32) -> bool {
    let code = code.strip_prefix(&ENDBR32).unwrap_or(code);
    let Some([0x68, a, b, c, d, 0xe9]) = code.first_chunk() else { return false };
    index([*a, *b, *c, *d]) == Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stubs_with_and_without_branch_tracking() {
        assert!(is_lazy_stub(&[0x68, 24, 0, 0, 0, 0xe9, 0, 0], 3));
        assert!(!is_lazy_stub(&[0x68, 25, 0, 0, 0, 0xe9, 0, 0], 3));
        assert!(is_lazy_stub(&[0xf3, 0x0f, 0x1e, 0xfb, 0x68, 8, 8, 0, 0, 0xe9], 257));
        assert!(!is_lazy_stub(&[0x68, 24, 0, 0, 0, 0xff], 3));
        assert!(!is_lazy_stub(&[0x68, 3], 0));
    }

    #[test]
    fn entries_that_only_jump() {
        // jmp *-0x14(%ebx); xchg %ax, %ax
        assert_eq!(
            only_jumps(&[0xff, 0xa3, 0xec, 0xff, 0xff, 0xff, 0x66, 0x90], 0x4000),
            Some((8, 0x3fec))
        );
        assert_eq!(only_jumps(&[0xff, 0x25, 0, 0xc0, 4, 8, 0x66, 0x90], 0), Some((8, 0x804_c000)));
        assert_eq!(only_jumps(&[0xff, 0x25, 0, 0xc0, 4, 8, 0x68, 0], 0), None);
        let tracked = [&ENDBR32[..], &[0xff, 0xa3, 0x0c, 0, 0, 0, 0x66, 0x0f]].concat();
        assert_eq!(only_jumps(&tracked, 0x4000), Some((16, 0x400c)));
    }
}
