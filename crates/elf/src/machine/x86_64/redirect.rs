//! A `syscall` instruction made to call something else: it and its neighbours give way to a jump to
//! a trampoline, which has the neighbours' instructions, and a call in the instruction's place.

use std::collections::BTreeSet;

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};

/// `jmp rel32`.
const JUMP: usize = 5;
/// How many neighbours are looked at on either side.
const NEIGHBOURS: usize = 3;
/// How many instructions before a call its number is looked for in.
const LOOK_BACK: usize = 8;
/// What the psABI lets functions use below their stack pointer (3.2.2).
const RED_ZONE: i32 = 128;

/// Instructions that can give way to a jump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirection {
    /// The first one's address.
    pub start: u64,
    /// The address behind the last.
    pub end: u64,
    before: Vec<u8>,
    after: Vec<u8>,
}

/// The instructions of some code.
#[derive(Debug)]
pub struct Code<'a> {
    bytes: &'a [u8],
    /// The first byte's address.
    base: u64,
    instructions: Vec<Instruction>,
    /// Where jumps and calls go.
    targets: BTreeSet<u64>,
}

impl<'a> Code<'a> {
    /// Decodes it, from its first byte on, which is at `base`.
    pub fn new(bytes: &'a [u8], base: u64) -> Self {
        let decoder = Decoder::with_ip(64, bytes, base, DecoderOptions::NONE);
        let instructions: Vec<Instruction> = decoder.into_iter().collect();
        let jumps = |i: &&Instruction| {
            matches!(
                i.flow_control(),
                FlowControl::UnconditionalBranch
                    | FlowControl::ConditionalBranch
                    | FlowControl::Call
                    | FlowControl::XbeginXabortXend
            )
        };
        let targets =
            instructions.iter().filter(jumps).map(Instruction::near_branch_target).collect();
        Self { bytes, base, instructions, targets }
    }

    /// The addresses behind the `syscall` instructions that make a call of one of these numbers, as
    /// far as the number is put into eax shortly before.
    pub fn calls(&self, numbers: &[i64]) -> Vec<u64> {
        let is_one = |at: usize| {
            let before = self.instructions[at.saturating_sub(LOOK_BACK)..at].iter().rev();
            let sets = |i: &&Instruction| {
                i.op_count() > 0 && i.op0_register().full_register() == Register::RAX
            };
            let number = before.take_while(|i| i.flow_control() == FlowControl::Next).find(sets);
            number.is_some_and(|i| {
                i.mnemonic() == Mnemonic::Mov
                    && i.op1_kind() == OpKind::Immediate32
                    && numbers.contains(&i64::from(i.immediate32()))
            })
        };
        let instructions = self.instructions.iter().enumerate();
        instructions
            .filter(|(at, i)| i.mnemonic() == Mnemonic::Syscall && is_one(*at))
            .map(|(_, i)| i.next_ip())
            .collect()
    }

    /// Finds what can give way around the `syscall` instruction that ends at `behind`: instructions
    /// that do the same anywhere, and that nothing jumps between. `None` if there is none.
    pub fn redirection(&self, behind: u64) -> Option<Redirection> {
        let at = self.instructions.binary_search_by_key(&behind, Instruction::next_ip).ok()?;
        if self.instructions[at].mnemonic() != Mnemonic::Syscall {
            return None;
        }
        let fits = |&(first, last): &(usize, usize)| {
            let run = &self.instructions[first..=last];
            let moves = |i: &Instruction| {
                i.flow_control() == FlowControl::Next
                    && !i.is_ip_rel_memory_operand()
                    && !i.is_invalid()
            };
            let len: usize = run.iter().map(Instruction::len).sum();
            len >= JUMP
                && run.iter().enumerate().all(|(i, one)| first + i == at || moves(one))
                && run[1..].iter().all(|one| !self.targets.contains(&one.ip()))
        };
        let firsts = (at.saturating_sub(NEIGHBOURS)..=at).rev();
        let mut runs: Vec<_> = firsts
            .flat_map(|first| (at..=at + NEIGHBOURS).map(move |last| (first, last)))
            .filter(|&(_, last)| last < self.instructions.len())
            .collect();
        runs.sort_by_key(|(first, last)| last - first);
        let (first, last) = runs.into_iter().find(fits)?;
        let bytes = |range: std::ops::Range<u64>| {
            self.bytes[(range.start - self.base) as usize..(range.end - self.base) as usize]
                .to_vec()
        };
        let (start, end) = (self.instructions[first].ip(), self.instructions[last].next_ip());
        let call = self.instructions[at].ip();
        Some(Redirection { start, end, before: bytes(start..call), after: bytes(behind..end) })
    }
}

impl Redirection {
    /// What takes the instructions' place: a jump to `trampoline`. `moved` is how far the code lies
    /// from where its addresses say. `None` if it is too far away.
    pub fn jump(&self, moved: u64, trampoline: u64) -> Option<Vec<u8>> {
        let start = self.start.wrapping_add(moved);
        let mut bytes = vec![0xe9];
        bytes.extend(distance(start.wrapping_add(JUMP as u64), trampoline)?);
        // What is left of the last instruction is never executed.
        bytes.resize((self.end - self.start) as usize, super::BREAKPOINT[0]);
        Some(bytes)
    }

    /// The trampoline at `at`, which calls `callee` with `kind` in r11.
    pub fn trampoline(&self, moved: u64, at: u64, callee: u64, kind: u32) -> Option<Vec<u8>> {
        let mut bytes = self.before.clone();
        bytes.extend([0x48, 0x8d, 0xa4, 0x24]); // lea rsp, [rsp - 128]
        bytes.extend((-RED_ZONE).to_le_bytes());
        bytes.extend([0x41, 0xbb]); // mov r11d, kind
        bytes.extend(kind.to_le_bytes());
        bytes.push(0xe8); // call callee
        bytes.extend(distance(at + bytes.len() as u64 + 4, callee)?);
        bytes.extend([0x48, 0x8d, 0xa4, 0x24]); // lea rsp, [rsp + 128]
        bytes.extend(RED_ZONE.to_le_bytes());
        bytes.extend(&self.after);
        bytes.push(0xe9); // jmp end
        let end = self.end.wrapping_add(moved);
        bytes.extend(distance(at + bytes.len() as u64 + 4, end)?);
        Some(bytes)
    }
}

fn distance(from: u64, to: u64) -> Option<[u8; 4]> {
    i32::try_from(to.wrapping_sub(from) as i64).ok().map(i32::to_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSCALL: &[u8] = super::super::system_calls::INSTRUCTION;

    fn redirection(code: &[u8], base: u64, behind: u64) -> Option<Redirection> {
        Code::new(code, base).redirection(behind)
    }

    fn code(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    #[test]
    fn the_number_gives_way_with_the_call() {
        let code = code(&[&[0x90], &[0xb8, 1, 1, 0, 0], SYSCALL, &[0xc3]]);
        let found = redirection(&code, 0x1000, 0x1008).unwrap();
        assert_eq!((found.start, found.end), (0x1001, 0x1008));
        assert_eq!((&found.before[..], &found.after[..]), (&[0xb8, 1, 1, 0, 0][..], &[][..]));
        let jump = found.jump(0x10_0000, 0x10_2000).unwrap();
        assert_eq!(jump, [0xe9, 0xfa, 0x0f, 0, 0, 0xcc, 0xcc]);
        let trampoline = found.trampoline(0, 0x2000, 0x3000, 1).unwrap();
        let decoded: Vec<String> = Decoder::with_ip(64, &trampoline, 0x2000, DecoderOptions::NONE)
            .into_iter()
            .map(|i| format!("{:?} {:x}", i.mnemonic(), i.near_branch_target()))
            .collect();
        assert_eq!(decoded, ["Mov 0", "Lea 0", "Mov 0", "Call 3000", "Lea 0", "Jmp 1008"]);
    }

    #[test]
    fn the_comparison_behind_gives_way_where_the_call_is_jumped_to() {
        // jmp to the syscall; mov eax, imm32; syscall; cmp rax, imm32; ret
        let compare = [0x48, 0x3d, 0, 0xf0, 0xff, 0xff];
        let code = code(&[&[0xeb, 5], &[0xb8, 1, 1, 0, 0], SYSCALL, &compare, &[0xc3]]);
        let found = redirection(&code, 0, 9).unwrap();
        assert_eq!((found.start, found.end), (7, 15));
        assert_eq!((&found.before[..], &found.after[..]), (&[][..], &compare[..]));
    }

    #[test]
    fn calls_are_known_by_their_numbers() {
        let set = |number: u8| [0xb8, number, 0, 0, 0];
        let code =
            code(&[&set(9), &[0x89, 0xc1], SYSCALL, &set(17), SYSCALL, &[0x31, 0xc0], SYSCALL]);
        let code = Code::new(&code, 0);
        assert_eq!(code.calls(&[9]), [9]);
        assert_eq!(code.calls(&[8, 17]), [16]);
        assert!(code.calls(&[0]).is_empty());
    }

    #[test]
    fn what_cannot_be_moved_stays() {
        // A relative load before, a return behind.
        let load = [0x48, 0x8b, 0x05, 0, 0, 0, 0];
        assert_eq!(redirection(&code(&[&load, SYSCALL, &[0xc3]]), 0, 9), None);
        assert_eq!(redirection(&[0xb8, 0x0f, 0x05, 0, 0], 0, 3), None);
        assert!(redirection(&code(&[&[0xb8, 0, 0, 0, 0], SYSCALL]), 0, 7).is_some());
    }
}
