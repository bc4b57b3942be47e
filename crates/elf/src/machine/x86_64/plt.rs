//! Parts of a module's code whose extent the instructions tell: the procedure linkage table (psABI,
//! "Procedure Linkage Table") in the forms that linkers write, and the C library's .init and .fini.

use std::collections::{HashMap, HashSet};

use goblin::elf::dynamic;
use goblin::elf::reloc::R_X86_64_JUMP_SLOT;

use crate::machine::CodePart;
use crate::{DynamicFacts, ElfFile};

/// Of a PLT entry, in bytes.
const ENTRY: usize = 16;
/// `endbr64`, with which entries begin where indirect branches are tracked.
const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];

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
    code(elf).find_map(|(start, code)| {
        let first = (start.checked_next_multiple_of(ENTRY as u64)? - start) as usize;
        let entries = code.get(first..)?.as_chunks::<ENTRY>().0;
        let address = |entry: usize| start.wrapping_add((first + entry * ENTRY) as u64);
        let at = (0..entries.len()).find(|&entry| begins(&entries[entry], address(entry), got))?;
        Some((address(at), &entries[at..]))
    })
}

/// Addresses and bytes of the segments with code.
fn code<'a>(elf: &ElfFile<'a>) -> impl Iterator<Item = (u64, &'a [u8])> {
    let code = elf.loads().filter(|load| load.is_executable());
    code.filter_map(|load| Some((load.p_vaddr, elf.contents(load)?)))
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
    const LEAVE: &[u8] = &[0x48, 0x83, 0xc4, 0x08, 0xc3];
    let code = &code[..code.len().min(64)];
    let at = code.windows(LEAVE.len()).position(|bytes| bytes == LEAVE)?;
    Some((at + LEAVE.len()) as u64)
}

/// The entries that only jump: those to slots of the lazy PLT are .plt.sec, others .plt.got.
fn jumps(elf: &ElfFile<'_>, facts: &DynamicFacts<'_>, from: u64) -> Vec<CodePart> {
    let bound = facts.plt_relocations().filter(|entry| entry.kind == R_X86_64_JUMP_SLOT);
    let bound: HashSet<u64> = bound.map(|entry| entry.at).collect();
    let mut parts: Vec<CodePart> = Vec::new();
    let Some(code) = elf.from(from) else { return parts };
    let padding = code.iter().take(ENTRY).take_while(|&&byte| byte == 0).count();
    let at = from.checked_add(padding as u64).and_then(|at| at.checked_next_multiple_of(8));
    let Some(mut at) = at else { return parts };
    while let Some((len, slot)) = elf.from(at).and_then(|code| jump(code, at)) {
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
fn jump(code: &[u8], at: u64) -> Option<(u64, u64)> {
    let (distance, end, len) = match *code.first_chunk::<8>()? {
        [0xff, 0x25, a, b, c, d, 0x66, 0x90] => ([a, b, c, d], 6, 8),
        [0xf3, 0x0f, 0x1e, 0xfa, ..] => match *code[4..].first_chunk::<12>()? {
            [0xff, 0x25, a, b, c, d, ..] => ([a, b, c, d], 10, 16),
            [0xf2, 0xff, 0x25, a, b, c, d, ..] => ([a, b, c, d], 11, 16),
            _ => return None,
        },
        _ => return None,
    };
    Some((len, at.wrapping_add(end).wrapping_add_signed(i32::from_le_bytes(distance).into())))
}

/// Whether this is the first entry of the PLT to the GOT at `got`.
fn begins(entry: &[u8; ENTRY], address: u64, got: u64) -> bool {
    let [0xff, 0x35, a, b, c, d, jump @ ..] = *entry else { return false };
    let (distance, end) = match jump {
        [0xff, 0x25, a, b, c, d, ..] => ([a, b, c, d], 12),
        [0xf2, 0xff, 0x25, a, b, c, d, ..] => ([a, b, c, d], 13),
        _ => return false,
    };
    let target = |distance: [u8; 4], end: u64| {
        address.wrapping_add(end).wrapping_add_signed(i32::from_le_bytes(distance).into())
    };
    target([a, b, c, d], 6) == got.wrapping_add(8) && target(distance, end) == got.wrapping_add(16)
}

/// Where in an entry the second half begins, and the index that it pushes.
fn pushes(entry: &[u8; ENTRY]) -> Option<(usize, u32)> {
    match *entry {
        // endbr64; push
        [0xf3, 0x0f, 0x1e, 0xfa, 0x68, a, b, c, d, ..] => {
            Some((0, u32::from_le_bytes([a, b, c, d])))
        }
        // jmp *slot; push
        [0xff, 0x25, _, _, _, _, 0x68, a, b, c, d, ..] => {
            Some((6, u32::from_le_bytes([a, b, c, d])))
        }
        [0x68, a, b, c, d, ..] => Some((0, u32::from_le_bytes([a, b, c, d]))),
        _ => None,
    }
}

/// See [`crate::machine::Machine::is_lazy_stub`]. With ENDBR64 and BND prefixes for IBT and MPX.
pub fn is_lazy_stub(code: &[u8], index: u32) -> bool {
    let code = code.strip_prefix(&ENDBR64).unwrap_or(code);
    let Some([0x68, pushed @ .., first, second]) = code.first_chunk::<7>() else { return false };
    let jumps = *first == 0xe9 || (*first == 0xf2 && *second == 0xe9);
    jumps && u32::from_le_bytes(*pushed) == index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stubs_with_and_without_branch_tracking() {
        assert!(is_lazy_stub(&[0x68, 3, 0, 0, 0, 0xe9, 0, 0], 3));
        assert!(!is_lazy_stub(&[0x68, 3, 0, 0, 0, 0xe9, 0, 0], 4));
        assert!(is_lazy_stub(&[0xf3, 0x0f, 0x1e, 0xfa, 0x68, 1, 1, 0, 0, 0xf2, 0xe9], 257));
        assert!(!is_lazy_stub(&[0x68, 3, 0, 0, 0, 0xff, 0], 3));
        assert!(!is_lazy_stub(&[0x68, 3], 3));
    }
}
