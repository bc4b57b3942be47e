//! Constant arguments of calls (psABI 3.2.3): functions are decoded from their beginning, and the registers
//! that hold constants are followed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    OpKind, Register,
};

/// Where the first arguments are.
const ARGUMENTS: [Register; 4] = [Register::RDI, Register::RSI, Register::RDX, Register::RCX];
/// What calls leave as it was.
const KEPT: [Register; 7] = [
    Register::RBX,
    Register::RBP,
    Register::RSP,
    Register::R12,
    Register::R13,
    Register::R14,
    Register::R15,
];

/// The constant arguments of the calls at these addresses; none for what is no instruction.
pub fn arguments(
    bytes: &[u8],
    base: u64,
    calls: &BTreeSet<u64>,
) -> Vec<(u64, Option<[Option<u64>; 4]>)> {
    let decode = || Decoder::with_ip(64, bytes, base, DecoderOptions::NONE).into_iter();
    let branches = decode().filter(|i| {
        matches!(
            i.flow_control(),
            FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
        )
    });
    let labels: BTreeSet<u64> = branches.map(|i| i.near_branch_target()).collect();
    let mut found: BTreeMap<u64, [Option<u64>; 4]> = BTreeMap::new();
    let mut constants =
        Constants { values: HashMap::new(), factory: InstructionInfoFactory::new() };
    for instruction in decode() {
        // Whoever comes from elsewhere brings other values.
        if labels.contains(&instruction.ip()) {
            constants.values.clear();
        }
        if calls.contains(&instruction.ip()) {
            found.insert(instruction.ip(), ARGUMENTS.map(|register| constants.get(register)));
        }
        constants.step(&instruction);
    }
    calls.iter().map(|at| (*at, found.get(at).copied())).collect()
}

/// Registers that hold constants.
struct Constants {
    values: HashMap<Register, u64>,
    factory: InstructionInfoFactory,
}

impl Constants {
    fn get(&self, register: Register) -> Option<u64> {
        self.values.get(&register.full_register()).copied()
    }

    /// What is known behind an instruction.
    fn step(&mut self, i: &Instruction) {
        match i.flow_control() {
            FlowControl::Next | FlowControl::ConditionalBranch => {}
            FlowControl::Call | FlowControl::IndirectCall => {
                self.values.retain(|register, _| KEPT.contains(register));
                return;
            }
            _ => return self.values.clear(),
        }
        let value = self.constant(i);
        for used in self.factory.info(i).used_registers() {
            let writes = matches!(
                used.access(),
                OpAccess::Write
                    | OpAccess::CondWrite
                    | OpAccess::ReadWrite
                    | OpAccess::ReadCondWrite
            );
            if writes {
                self.values.remove(&used.register().full_register());
            }
        }
        if let Some(value) = value {
            self.values.insert(i.op0_register().full_register(), value);
        }
    }

    /// The constant that an instruction puts into its first operand, a register of 64 or 32 bits
    /// (of which the upper half becomes zero).
    fn constant(&self, i: &Instruction) -> Option<u64> {
        if i.op0_kind() != OpKind::Register || !matches!(i.op0_register().size(), 4 | 8) {
            return None;
        }
        let value = match (i.mnemonic(), i.op1_kind()) {
            (Mnemonic::Lea, OpKind::Memory) if i.is_ip_rel_memory_operand() => {
                i.ip_rel_memory_address()
            }
            (Mnemonic::Mov, OpKind::Register) => self.get(i.op1_register())?,
            (Mnemonic::Xor | Mnemonic::Sub, OpKind::Register)
                if i.op0_register() == i.op1_register() =>
            {
                0
            }
            (
                Mnemonic::Mov,
                OpKind::Immediate32 | OpKind::Immediate64 | OpKind::Immediate32to64,
            ) => i.immediate(1),
            _ => return None,
        };
        Some(if i.op0_register().size() == 4 { value & 0xffff_ffff } else { value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// lea rdi,[rip+9]; mov esi,1; call +0; mov rdi,rbx; call +0; ret
    const CODE: [u8; 26] = [
        0x48, 0x8d, 0x3d, 0x09, 0, 0, 0, 0xbe, 1, 0, 0, 0, 0xe8, 0, 0, 0, 0, 0x48, 0x89, 0xdf,
        0xe8, 0, 0, 0, 0, 0xc3,
    ];

    #[test]
    fn constants_at_calls() {
        let calls = BTreeSet::from([0x100c, 0x1013, 0x1014]);
        let found = arguments(&CODE, 0x1000, &calls);
        assert_eq!(found[0], (0x100c, Some([Some(0x1010), Some(1), None, None])));
        assert_eq!(found[1], (0x1013, None), "no instruction begins there");
        assert_eq!(found[2], (0x1014, Some([None; 4])));
    }

    #[test]
    fn a_value_that_another_way_may_change_is_unknown() {
        // xor edi,edi; je to the call; lea rdi,[rip]; call +0
        let code = [0x31, 0xff, 0x74, 7, 0x48, 0x8d, 0x3d, 0, 0, 0, 0, 0xe8, 0, 0, 0, 0];
        let found = arguments(&code, 0, &BTreeSet::from([11]));
        assert_eq!(found, [(11, Some([None; 4]))]);
    }
}
