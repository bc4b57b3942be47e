//! `svc #0`, which has the size of a branch and so gives way by itself. The number of the call is in x8; the kernel changes no
//! register but x0 (sysvabi64; arch/arm64/kernel/entry.S).

use super::follow::follow;
use super::instruction::{SVC, branch, instructions};
use crate::ElfFile;
use crate::machine::redirect::{self, Branches, Redirection};

/// The register that the number is in.
const NUMBER: u8 = 8;

/// The kind is in x16. Code may use all registers, x16 and the return address among them, and nothing below the stack pointer
/// (aapcs64, "The Stack").
const BRANCHES: &Branches = &Branches {
    jump: |at, to| Some(branch(at, to, false)?.to_vec()),
    call: |at, callee, kind| {
        let kind = u16::try_from(kind).ok()?;
        let bytes = [
            0xa9bf_7bf0u32.to_le_bytes(), // stp x16, x30, [sp, #-16]!
            (0xd280_0010 | u32::from(kind) << 5).to_le_bytes(), // mov x16, kind
            branch(at.wrapping_add(8), callee, true)?,
            0xa8c1_7bf0u32.to_le_bytes(), // ldp x16, x30, [sp], #16
        ];
        Some(bytes.concat())
    },
    filler: 0,
};

/// The system calls of some code.
#[derive(Debug)]
struct Code {
    /// The address behind each, ascending, and its number if that is a constant.
    calls: Vec<(u64, Option<i64>)>,
}

/// See [`crate::machine::Machine::code`].
pub fn code<'a>(elf: &ElfFile<'_>, bytes: &'a [u8], base: u64) -> Box<dyn redirect::Code + 'a> {
    let mut made = instructions(bytes, base).filter(|&(_, word)| word == SVC).peekable();
    let mut calls = Vec::new();
    follow(elf, bytes, base, |at, _, registers| {
        if made.next_if(|&(call, _)| call == at).is_some() {
            calls.push((at.wrapping_add(4), registers.constant(NUMBER).map(u64::cast_signed)));
        }
    });
    Box::new(Code { calls })
}

impl redirect::Code for Code {
    fn calls(&self, numbers: &[i64]) -> Vec<u64> {
        let wanted = |&&(_, number): &&(u64, Option<i64>)| {
            number.is_some_and(|number| numbers.contains(&number))
        };
        self.calls.iter().filter(wanted).map(|&(behind, _)| behind).collect()
    }

    fn calls_of_any_number(&self) -> Vec<u64> {
        let unknown = self.calls.iter().filter(|(_, number)| number.is_none());
        unknown.map(|&(behind, _)| behind).collect()
    }

    fn redirection(&self, behind: u64) -> Option<Redirection> {
        self.calls.binary_search_by_key(&behind, |&(behind, _)| behind).ok()?;
        let start = behind.checked_sub(4)?;
        let (before, after) = (Vec::new(), Vec::new());
        Some(Redirection { branches: BRANCHES, start, end: behind, before, after })
    }
}

#[cfg(test)]
mod tests {
    use super::super::instruction::Instruction;
    use super::*;
    use crate::machine::redirect::Code as _;

    const OPENAT: i64 = 56;

    fn code() -> Code {
        Code { calls: vec![(0x1008, Some(OPENAT)), (0x1020, None), (0x1030, Some(63))] }
    }

    #[test]
    fn calls_are_known_by_their_numbers() {
        assert_eq!(code().calls(&[OPENAT, 57]), [0x1008]);
        assert!(code().calls(&[57, -1000]).is_empty());
        assert_eq!(code().calls_of_any_number(), [0x1020]);
    }

    #[test]
    fn the_instruction_gives_way_by_itself() {
        assert!(code().redirection(0x100c).is_none());
        let found = code().redirection(0x1008).unwrap();
        assert_eq!((found.start, found.end), (0x1004, 0x1008));
        let read = |bytes: Vec<u8>, at: u64| -> Vec<Instruction> {
            instructions(&bytes, at).map(|(at, word)| Instruction::decode(word, at)).collect()
        };
        let jump = found.jump(0x10_0000, 0x10_2000).unwrap();
        assert_eq!(read(jump, 0x10_1004), [Instruction::Branch(0x10_2000)]);
        let trampoline = found.trampoline(0x10_0000, 0x10_2000, 0x10_3000, 2).unwrap();
        // Registers 16 and 30 are put below the stack pointer, which moves there, and taken back.
        let expected = [
            Instruction::Other([31, 31, 31, 31]),
            Instruction::Constant(16, 2),
            Instruction::Call(0x10_3000),
            Instruction::Other([16, 30, 31, 31]),
            Instruction::Branch(0x10_1008),
        ];
        assert_eq!(read(trampoline, 0x10_2000), expected);
        assert!(found.jump(0, 0x1000_0000).is_none());
    }
}
