//! What a function does with imports, and the constant arguments of its calls, which are on the stack (psABI,
//! "Parameter Passing"). It is decoded from its beginning; registers and words of the stack that hold constants are
//! followed, as is the register that finds constants in position-independent code.

use std::collections::{BTreeSet, HashMap, HashSet};

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    OpKind, Register,
};

use super::got::{near, thunk};
use crate::ElfFile;

/// The size of a word of the stack, in bytes.
const WORD: i64 = 4;
/// What calls leave as it was is everything but these.
const SCRATCH: [Register; 3] = [Register::EAX, Register::ECX, Register::EDX];

/// What imports are known by.
pub struct Known<'a> {
    /// The file.
    pub elf: &'a ElfFile<'a>,
    /// Words that hold an import's address, and which it is.
    pub slots: &'a HashMap<u64, usize>,
    /// Code that jumps to an import, and which it is.
    pub stubs: &'a HashMap<u64, usize>,
    /// The addresses of their jumps.
    pub jumps: &'a HashSet<u64>,
    /// Where [`super::got::table`] is.
    pub table: Option<u64>,
    /// Addresses stand in instructions as they are.
    pub is_fixed: bool,
}

/// What an instruction does with an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It calls it, or jumps to it, with these arguments.
    Call([Option<u64>; 4]),
    /// It takes its address.
    Taken,
}

/// Decodes a function of these bytes, and says which of its instructions use which import.
pub fn follow(known: &Known<'_>, bytes: &[u8], base: u64, mut found: impl FnMut(u64, usize, Use)) {
    let decode = || Decoder::with_ip(32, bytes, base, DecoderOptions::NONE).into_iter();
    let branches = decode().filter(|i| {
        matches!(
            i.flow_control(),
            FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
        )
    });
    let labels: BTreeSet<u64> = branches.map(|i| i.near_branch_target()).collect();
    let mut state = State::new(known);
    for instruction in decode() {
        state.enter(&labels, instruction.ip());
        state.step(&instruction, true);
    }
    let mut state = state.settled();
    for instruction in decode() {
        state.enter(&labels, instruction.ip());
        for (import, way) in state.uses(&instruction).into_iter().flatten() {
            found(instruction.ip(), import, way);
        }
        state.step(&instruction, false);
    }
}

/// What is known before an instruction.
struct State<'a> {
    known: &'a Known<'a>,
    values: HashMap<Register, u64>,
    /// Registers that hold one constant, or nothing of the function's own.
    fixed: HashMap<Register, u64>,
    /// Registers that hold the address of constants somewhere in the function.
    usual: BTreeSet<Register>,
    /// Constants that functions add to their own addresses, and registers that hold anything else.
    tables: HashMap<Register, BTreeSet<u64>>,
    others: BTreeSet<Register>,
    /// The stack's end, from where it was when nothing of it was known, and words by that measure.
    depth: i64,
    stack: HashMap<i64, u64>,
    factory: InstructionInfoFactory,
}

impl<'a> State<'a> {
    fn new(known: &'a Known<'a>) -> Self {
        Self {
            known,
            values: HashMap::new(),
            fixed: HashMap::new(),
            usual: BTreeSet::from([Register::EBX]),
            tables: HashMap::new(),
            others: BTreeSet::new(),
            depth: 0,
            stack: HashMap::new(),
            factory: InstructionInfoFactory::new(),
        }
    }

    /// With what a whole function shows: a register that gets nothing but one and the same address of constants has
    /// it wherever it is used, and %ebx that gets nothing has what the part of the function has put there from which
    /// this one is cut off.
    fn settled(self) -> Self {
        let mut fixed: HashMap<Register, u64> = HashMap::new();
        for (register, tables) in &self.tables {
            if let (false, Some(&table), 1) =
                (self.others.contains(register), tables.first(), tables.len())
            {
                fixed.insert(*register, table);
            }
        }
        let is_inherited =
            !self.others.contains(&Register::EBX) && !self.tables.contains_key(&Register::EBX);
        if let (true, Some(table)) = (is_inherited, self.known.table) {
            fixed.insert(Register::EBX, table);
        }
        let mut usual: BTreeSet<Register> = self.tables.into_keys().collect();
        usual.insert(Register::EBX);
        Self { fixed, usual, ..Self::new(self.known) }
    }

    /// Whoever comes from elsewhere brings other values.
    fn enter(&mut self, labels: &BTreeSet<u64>, at: u64) {
        if labels.contains(&at) {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.values.clear();
        self.stack.clear();
    }

    fn get(&self, register: Register) -> Option<u64> {
        self.fixed.get(&register).or_else(|| self.values.get(&register)).copied()
    }

    /// The imports that an instruction uses: by its target, or by a word of memory; and by a constant.
    fn uses(&self, i: &Instruction) -> [Option<(usize, Use)>; 2] {
        let stubs = self.known.stubs;
        // A jump leaves the return address, of whoever called this function, where it is.
        let first = |is_call: bool| if is_call { 0 } else { WORD };
        let call = |is_call| Use::Call(self.arguments(first(is_call)));
        let by_target = match i.flow_control() {
            FlowControl::Call => stubs.get(&i.near_branch_target()).map(|&to| (to, call(true))),
            FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => {
                stubs.get(&i.near_branch_target()).map(|&to| (to, call(false)))
            }
            FlowControl::IndirectCall => self.slot(i).map(|to| (to, call(true))),
            // That of a stub is none of its users.
            FlowControl::IndirectBranch if !self.known.jumps.contains(&i.ip()) => {
                self.slot(i).map(|to| (to, call(false)))
            }
            FlowControl::IndirectBranch => None,
            _ => self.slot(i).map(|to| (to, Use::Taken)),
        };
        let constant = self.constant(i).or_else(|| self.immediate(i));
        let by_constant = constant.and_then(|value| stubs.get(&value)).map(|&to| (to, Use::Taken));
        [by_target, by_constant]
    }

    /// The import whose word an instruction refers to. Where it is not known what its register holds, but that would
    /// be the word's distance from what the register holds elsewhere in the function, so it is taken.
    fn slot(&self, i: &Instruction) -> Option<usize> {
        if !(0..i.op_count()).any(|operand| i.op_kind(operand) == OpKind::Memory) {
            return None;
        }
        let usual = || {
            let is_long = i.memory_displ_size() == 4 && i.memory_index() == Register::None;
            let distance = i.memory_displacement32().to_le_bytes();
            let table = self.known.table.filter(|_| self.usual.contains(&i.memory_base()));
            Some(near(table.filter(|_| is_long)?, distance))
        };
        let at = self.address(i).or_else(usual)?;
        self.known.slots.get(&at).copied()
    }

    /// The address of an instruction's operand in memory.
    fn address(&self, i: &Instruction) -> Option<u64> {
        if matches!(i.memory_segment(), Register::FS | Register::GS) {
            return None;
        }
        let part = |register: Register, scale: u32| match register {
            Register::None => Some(0),
            Register::ESP => None,
            register => Some((self.get(register)? as u32).wrapping_mul(scale)),
        };
        let base = part(i.memory_base(), 1)?;
        let index = part(i.memory_index(), i.memory_index_scale())?;
        Some(base.wrapping_add(index).wrapping_add(i.memory_displacement32()).into())
    }

    fn arguments(&self, first: i64) -> [Option<u64>; 4] {
        [0, 1, 2, 3].map(|index| self.stack.get(&(self.depth + first + index * WORD)).copied())
    }

    /// A constant address in an instruction of code that is not position-independent.
    fn immediate(&self, i: &Instruction) -> Option<u64> {
        let is_address = |kind| matches!(kind, OpKind::Immediate32);
        let operand = (0..i.op_count()).find(|&operand| is_address(i.op_kind(operand)))?;
        self.known.is_fixed.then(|| i.immediate(operand) & 0xffff_ffff)
    }

    /// What is known behind an instruction; of registers' values also for [`Self::settled`], if `collects`.
    fn step(&mut self, i: &Instruction, collects: bool) {
        match i.flow_control() {
            FlowControl::Next | FlowControl::ConditionalBranch => {}
            FlowControl::Call if i.near_branch_target() == i.next_ip() => {
                return self.push(Some(i.next_ip()));
            }
            FlowControl::Call | FlowControl::IndirectCall => return self.call(i),
            _ => return self.forget(),
        }
        let constant = self.constant(i);
        let pushed = (i.mnemonic() == Mnemonic::Push).then(|| self.operand(i, 0));
        let stored = self.stored(i);
        let target = i.op0_register();
        let is_pop = i.mnemonic() == Mnemonic::Pop;
        let popped = if is_pop { self.stack.get(&self.depth).copied() } else { None };
        for register in self.written(i) {
            let is_table = register == target && i.mnemonic() == Mnemonic::Add;
            match constant.filter(|_| is_table && collects) {
                Some(table) => {
                    self.tables.entry(register).or_default().insert(table);
                }
                None if is_pop || !collects => {}
                None => {
                    self.others.insert(register);
                }
            }
            self.values.remove(&register);
        }
        if let Some(value) = constant.or(popped) {
            self.values.insert(target, value);
        }
        match (pushed, stored) {
            (Some(value), _) => self.push(value),
            (None, Some((at, value))) => self.store(at, value),
            _ => self.move_stack(i),
        }
    }

    fn call(&mut self, i: &Instruction) {
        let is_near = i.flow_control() == FlowControl::Call;
        let register = is_near.then(|| thunk(self.known.elf, i.near_branch_target())).flatten();
        match register {
            Some(register) => {
                self.values.insert(register, i.next_ip());
            }
            None => {
                // Its arguments are its own to change, and it may take them off.
                self.stack.clear();
                for register in SCRATCH {
                    self.values.remove(&register);
                    self.others.insert(register);
                }
            }
        }
    }

    fn push(&mut self, value: Option<u64>) {
        self.depth = self.depth.wrapping_sub(WORD);
        self.store(self.depth, value);
    }

    fn store(&mut self, at: i64, value: Option<u64>) {
        match value {
            Some(value) => self.stack.insert(at, value),
            None => self.stack.remove(&at),
        };
    }

    /// Where an instruction writes a word of the stack, and what.
    fn stored(&self, i: &Instruction) -> Option<(i64, Option<u64>)> {
        let writes = i.op0_kind() == OpKind::Memory && i.mnemonic() == Mnemonic::Mov;
        let is_stack = i.memory_base() == Register::ESP && i.memory_index() == Register::None;
        (writes && is_stack).then(|| {
            let at = i64::from(i.memory_displacement32().cast_signed());
            (self.depth.wrapping_add(at), self.operand(i, 1))
        })
    }

    /// What an instruction does to the stack's end: a known distance, or something else.
    fn move_stack(&mut self, i: &Instruction) {
        let is_stack = i.op0_kind() == OpKind::Register && i.op0_register() == Register::ESP;
        let by = match (i.mnemonic(), i.op1_kind()) {
            (Mnemonic::Pop, _) => WORD,
            (Mnemonic::Add, kind) if is_stack && is_immediate(kind) => i.immediate(1) as i64,
            (Mnemonic::Sub, kind) if is_stack && is_immediate(kind) => {
                (i.immediate(1) as i64).wrapping_neg()
            }
            (Mnemonic::Lea, _)
                if is_stack
                    && i.memory_base() == Register::ESP
                    && i.memory_index() == Register::None =>
            {
                i64::from(i.memory_displacement32().cast_signed())
            }
            _ => {
                let changes = is_stack || i.is_stack_instruction();
                return if changes {
                    self.stack.clear()
                };
            }
        };
        self.depth = self.depth.wrapping_add(by);
    }

    /// The registers that an instruction writes, but for the stack's.
    fn written(&mut self, i: &Instruction) -> Vec<Register> {
        let used = self.factory.info(i).used_registers().iter().filter(|used| {
            matches!(
                used.access(),
                OpAccess::Write
                    | OpAccess::CondWrite
                    | OpAccess::ReadWrite
                    | OpAccess::ReadCondWrite
            )
        });
        let registers = used.map(|used| used.register().full_register32());
        registers.filter(|register| register.is_gpr32() && *register != Register::ESP).collect()
    }

    /// The constant that an operand is.
    fn operand(&self, i: &Instruction, number: u32) -> Option<u64> {
        match i.op_kind(number) {
            // Not what it is meant to hold: functions save what their callers have there.
            OpKind::Register => self.values.get(&i.op_register(number)).copied(),
            kind if is_immediate(kind) => Some(i.immediate(number) & 0xffff_ffff),
            _ => None,
        }
    }

    /// The constant that an instruction puts into its first operand, a register.
    fn constant(&self, i: &Instruction) -> Option<u64> {
        if i.op0_kind() != OpKind::Register || !i.op0_register().is_gpr32() {
            return None;
        }
        let is_same = i.op1_kind() == OpKind::Register && i.op0_register() == i.op1_register();
        match i.mnemonic() {
            Mnemonic::Lea => self.address(i),
            Mnemonic::Mov => self.operand(i, 1),
            Mnemonic::Xor | Mnemonic::Sub if is_same => Some(0),
            Mnemonic::Add if is_immediate(i.op1_kind()) => {
                let before = self.values.get(&i.op0_register()).copied()?;
                Some((before as u32).wrapping_add(i.immediate(1) as u32).into())
            }
            _ => None,
        }
    }
}

fn is_immediate(kind: OpKind) -> bool {
    matches!(kind, OpKind::Immediate32 | OpKind::Immediate8to32 | OpKind::Immediate8)
}
