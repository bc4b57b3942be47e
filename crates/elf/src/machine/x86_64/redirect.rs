//! Instructions that enter the kernel, and what gives way with them: most have less bytes than a jump.
//! [`crate::machine::i386`] has other instructions for it; the rest is the same there.

use std::collections::BTreeSet;

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};

use crate::ElfFile;
use crate::machine::redirect::{self, Branches, Redirection};

/// `jmp rel32`.
const JUMP: usize = 5;
/// How many neighbours are looked at on either side.
const NEIGHBOURS: usize = 3;
/// What the psABI lets functions use below their stack pointer (3.2.2).
const RED_ZONE: i32 = 128;

/// How code of a machine enters the kernel, with the call's number in the accumulator.
#[derive(Debug)]
pub struct Entry {
    /// Of the machine's addresses.
    pub bits: u32,
    /// Whether an instruction is one that does it.
    pub enters: fn(&Instruction) -> bool,
    /// How many instructions before it its number is looked for in.
    pub look_back: usize,
    /// The numbers that the machine has for what this one does where this runs.
    pub numbers: fn(i64) -> Vec<i64>,
    /// Whether one instruction may be for calls of several numbers, which its callers have put into the accumulator.
    pub is_shared: bool,
    /// What takes its place.
    pub branches: Branches,
}

/// x86-64's: `syscall`. The kind is in r11, which the kernel changes.
pub const ENTRY: &Entry = &Entry {
    bits: 64,
    enters: |instruction| instruction.mnemonic() == Mnemonic::Syscall,
    look_back: 8,
    numbers: |number| vec![number],
    is_shared: false,
    branches: Branches {
        jump: |at, to| Some(near(GO, at, to, 64)?.to_vec()),
        call: |at, callee, kind| {
            let mut bytes = vec![0x48, 0x8d, 0xa4, 0x24]; // lea rsp, [rsp - 128]
            bytes.extend((-RED_ZONE).to_le_bytes());
            bytes.extend([0x41, 0xbb]); // mov r11d, kind
            bytes.extend(kind.to_le_bytes());
            bytes.extend(near(CALL, at.wrapping_add(bytes.len() as u64), callee, 64)?);
            bytes.extend([0x48, 0x8d, 0xa4, 0x24]); // lea rsp, [rsp + 128]
            bytes.extend(RED_ZONE.to_le_bytes());
            Some(bytes)
        },
        filler: super::BREAKPOINT[0],
    },
};

/// The instructions of some code.
#[derive(Debug)]
pub struct Code<'a> {
    entry: &'static Entry,
    bytes: &'a [u8],
    /// The first byte's address.
    base: u64,
    instructions: Vec<Instruction>,
    /// Where jumps and calls go.
    targets: BTreeSet<u64>,
}

/// See [`crate::machine::Machine::code`].
pub fn code<'a>(_: &ElfFile<'_>, bytes: &'a [u8], base: u64) -> Box<dyn redirect::Code + 'a> {
    Box::new(Code::new(ENTRY, bytes, base))
}

impl<'a> Code<'a> {
    /// Decodes it, from its first byte on, which is at `base`.
    pub fn new(entry: &'static Entry, bytes: &'a [u8], base: u64) -> Self {
        let decoder = Decoder::with_ip(entry.bits, bytes, base, DecoderOptions::NONE);
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
        Self { entry, bytes, base, instructions, targets }
    }

    /// By index, the instructions that enter the kernel.
    fn entries(&self) -> impl Iterator<Item = usize> {
        let instructions = self.instructions.iter().enumerate();
        instructions.filter(|(_, i)| (self.entry.enters)(i)).map(|(at, _)| at)
    }

    /// The number that the instruction of this index makes its call by.
    fn number(&self, at: usize) -> Option<i64> {
        let mut is_reached_otherwise = self.entry.is_shared && self.is_target(at);
        for before in (at.saturating_sub(self.entry.look_back)..at).rev() {
            let instruction = &self.instructions[before];
            if instruction.op_count() > 0
                && instruction.op0_register().full_register() == Register::RAX
            {
                let is_constant = instruction.mnemonic() == Mnemonic::Mov
                    && instruction.op1_kind() == OpKind::Immediate32
                    && !is_reached_otherwise;
                return is_constant.then(|| instruction.immediate32().into());
            }
            if instruction.flow_control() != FlowControl::Next
                && !self.tells_where_it_is(instruction)
            {
                return None;
            }
            is_reached_otherwise |= self.entry.is_shared && self.is_target(before);
        }
        None
    }

    fn is_target(&self, index: usize) -> bool {
        self.targets.contains(&self.instructions[index].ip())
    }

    /// Whether it calls a function that returns its return address in a register other than the accumulator, by which
    /// code of 32 bits finds constants.
    fn tells_where_it_is(&self, call: &Instruction) -> bool {
        let function = call.near_branch_target();
        let Ok(at) = self.instructions.binary_search_by_key(&function, Instruction::ip) else {
            return false;
        };
        let [load, back, ..] = &self.instructions[at..] else { return false };
        self.entry.bits == 32
            && call.flow_control() == FlowControl::Call
            && load.mnemonic() == Mnemonic::Mov
            && load.op0_register() != Register::EAX
            && load.memory_base() == Register::ESP
            && load.memory_displacement64() == 0
            && back.flow_control() == FlowControl::Return
    }
}

impl redirect::Code for Code<'_> {
    fn calls(&self, numbers: &[i64]) -> Vec<u64> {
        let wanted: Vec<i64> = numbers.iter().flat_map(|&one| (self.entry.numbers)(one)).collect();
        let is_one = |at: usize| self.number(at).is_some_and(|number| wanted.contains(&number));
        self.entries().filter(|at| is_one(*at)).map(|at| self.instructions[at].next_ip()).collect()
    }

    /// What returns at once is left out: callers may enter it in the middle, by its address.
    fn calls_of_any_number(&self) -> Vec<u64> {
        let returns = |at: usize| {
            let next = self.instructions.get(at + 1);
            next.is_some_and(|next| next.flow_control() == FlowControl::Return)
        };
        let is_one =
            |at: &usize| self.entry.is_shared && self.number(*at).is_none() && !returns(*at);
        self.entries().filter(is_one).map(|at| self.instructions[at].next_ip()).collect()
    }

    fn redirection(&self, behind: u64) -> Option<Redirection> {
        let at = self.instructions.binary_search_by_key(&behind, Instruction::next_ip).ok()?;
        if !(self.entry.enters)(&self.instructions[at]) {
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
        let (before, after) = (bytes(start..call), bytes(behind..end));
        Some(Redirection { branches: &self.entry.branches, start, end, before, after })
    }
}

/// `call rel32`.
pub const CALL: u8 = 0xe8;
/// `jmp rel32`.
pub const GO: u8 = 0xe9;

/// The call or jump at `at` to `target`; `None` if that is too far away. Addresses of 32 bits are never: they wrap.
pub fn near(opcode: u8, at: u64, target: u64, bits: u32) -> Option<[u8; JUMP]> {
    let distance = target.wrapping_sub(at.wrapping_add(JUMP as u64));
    let distance = match bits {
        32 => distance as i32,
        _ => i32::try_from(distance as i64).ok()?,
    };
    let [a, b, c, d] = distance.to_le_bytes();
    Some([opcode, a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::redirect::Code as _;

    const SYSCALL: &[u8] = super::super::system_calls::INSTRUCTION;

    fn redirection(code: &[u8], base: u64, behind: u64) -> Option<Redirection> {
        Code::new(ENTRY, code, base).redirection(behind)
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
        let code = Code::new(ENTRY, &code, 0);
        assert_eq!(code.calls(&[9]), [9]);
        assert_eq!(code.calls(&[8, 17]), [16]);
        assert!(code.calls(&[0]).is_empty());
        assert!(code.calls_of_any_number().is_empty());
    }

    #[test]
    fn what_cannot_be_moved_stays() {
        // A relative load before, a return behind.
        let load = [0x48, 0x8b, 0x05, 0, 0, 0, 0];
        assert!(redirection(&code(&[&load, SYSCALL, &[0xc3]]), 0, 9).is_none());
        assert!(redirection(&[0xb8, 0x0f, 0x05, 0, 0], 0, 3).is_none());
        assert!(redirection(&code(&[&[0xb8, 0, 0, 0, 0], SYSCALL]), 0, 7).is_some());
    }
}
