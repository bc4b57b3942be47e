//! Calls of imports in x86-64 code (psABI 3.2.3, arguments; 5.2, GOT and PLT). Code is not decoded
//! as a whole: what refers to a word of the GOT does so by its distance, and four bytes that happen
//! to be that distance are rare. Only functions in which there is a call are decoded.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    OpKind, Register,
};
use statify_elf::{ElfFile, Functions};

use super::super::module;
use super::{Call, Uses};

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
/// The largest function that is decoded, in bytes.
const LARGEST_FUNCTION: u64 = 1 << 20;

/// See [`super::uses`].
pub fn uses(elf: &ElfFile<'_>, imports: &[Vec<u64>]) -> Vec<Uses> {
    let mut found = vec![Found::default(); imports.len()];
    let slots = imports.iter().enumerate();
    let slots = slots.flat_map(|(import, words)| words.iter().map(move |&word| (word, import)));
    let slots: HashMap<u64, usize> = slots.collect();
    let code: Vec<(&[u8], u64)> = module::segments(elf)
        .into_iter()
        .filter(|(load, _)| load.is_executable())
        .map(|(load, bytes)| (bytes, load.p_vaddr))
        .collect();
    // Entries of procedure linkage tables, and what may be one.
    let mut stubs: HashMap<u64, usize> = HashMap::new();
    let mut jumps = Vec::new();
    for &(bytes, base) in &code {
        for (at, target) in references(bytes, base, &slots) {
            let import = slots[&target];
            match before(bytes, at) {
                [.., 0xff, 0x15] => found[import].calls.push(base + at as u64 - 2),
                [.., 0xff, 0x25] => {
                    let start = base + stub(bytes, at) as u64;
                    stubs.insert(start, import);
                    if !is_lazy(bytes, at) {
                        jumps.push((start, base + at as u64 - 2, import));
                    }
                }
                [.., modrm] if is_relative(modrm) => found[import].taken = true,
                _ => {}
            }
        }
    }
    let mut called = BTreeSet::new();
    for &(bytes, base) in &code {
        for (at, target) in references(bytes, base, &stubs) {
            let import = stubs[&target];
            match before(bytes, at) {
                [.., 0xe8 | 0xe9] => found[import].calls.push(base + at as u64 - 1),
                [.., 0x0f, 0x80..=0x8f] => found[import].calls.push(base + at as u64 - 2),
                [.., modrm] if is_relative(modrm) => found[import].taken = true,
                _ => continue,
            }
            called.insert(target);
        }
    }
    // A jump that nobody calls is no stub, but a call at the end of a function.
    for (start, at, import) in jumps {
        if !called.contains(&start) {
            found[import].calls.push(at);
        }
    }
    with_arguments(elf, &code, found)
}

#[derive(Clone, Debug, Default)]
struct Found {
    calls: Vec<u64>,
    taken: bool,
}

/// Where four bytes stand that are the distance from behind them to one of the targets.
fn references<'a>(
    bytes: &'a [u8],
    base: u64,
    targets: &'a HashMap<u64, usize>,
) -> impl Iterator<Item = (usize, u64)> + use<'a> {
    let low = targets.keys().copied().min().unwrap_or(u64::MAX);
    let high = targets.keys().copied().max().unwrap_or(0);
    let span = high.wrapping_sub(low);
    let words = if targets.is_empty() { 0 } else { bytes.len().saturating_sub(3) };
    (0..words).filter_map(move |at| {
        let distance = i32::from_le_bytes(bytes[at..at + 4].try_into().ok()?);
        let target = base.wrapping_add(at as u64 + 4).wrapping_add_signed(distance.into());
        let is_near = target.wrapping_sub(low) <= span;
        (is_near && targets.contains_key(&target)).then_some((at, target))
    })
}

/// The bytes in front of `at`, two at most.
fn before(bytes: &[u8], at: usize) -> &[u8] {
    &bytes[at.saturating_sub(2)..at]
}

/// Whether a ModRM byte says that a distance from the next instruction follows.
fn is_relative(modrm: &u8) -> bool {
    modrm & 0xc7 == 0x05
}

/// Where the stub begins whose jump has its distance at `at`: maybe with `bnd` and `endbr64`.
fn stub(bytes: &[u8], at: usize) -> usize {
    const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
    let jump = at - 2;
    let jump = if bytes[..jump].ends_with(&[0xf2]) { jump - 1 } else { jump };
    if bytes[..jump].ends_with(&ENDBR64) { jump - 4 } else { jump }
}

/// Whether a jump is followed by what binds it lazily: `push index; jmp`.
fn is_lazy(bytes: &[u8], at: usize) -> bool {
    bytes.get(at + 4) == Some(&0x68) && bytes.get(at + 9) == Some(&0xe9)
}

/// Decodes the functions that calls are in.
fn with_arguments(elf: &ElfFile<'_>, code: &[(&[u8], u64)], found: Vec<Found>) -> Vec<Uses> {
    let functions = elf.functions();
    let mut by_function: BTreeMap<(u64, u64), BTreeSet<u64>> = BTreeMap::new();
    let mut known: HashMap<u64, Option<[Option<u64>; 4]>> = HashMap::new();
    for &at in found.iter().flat_map(|found| &found.calls) {
        match function(functions.as_ref(), code, at) {
            Some(range) => {
                by_function.entry((range.start, range.end)).or_default().insert(at);
            }
            None => {
                known.insert(at, Some([None; 4]));
            }
        }
    }
    // Functions that overlap are damage, which must not cost more than the code is long.
    let mut budget = 2 * code.iter().map(|(bytes, _)| bytes.len() as u64).sum::<u64>();
    for ((start, end), calls) in by_function {
        let bytes = code.iter().find_map(|(bytes, base)| {
            let first = usize::try_from(start.checked_sub(*base)?).ok()?;
            bytes.get(first..first.checked_add((end - start) as usize)?)
        });
        match bytes.filter(|_| budget >= end - start) {
            Some(bytes) => {
                budget -= end - start;
                known.extend(arguments(bytes, start, &calls));
            }
            None => known.extend(calls.into_iter().map(|at| (at, Some([None; 4])))),
        }
    }
    let uses = found.into_iter().map(|Found { mut calls, taken }| {
        calls.sort_unstable();
        calls.dedup();
        let call = |at: u64| Some(Call { at, arguments: (*known.get(&at)?)? });
        Uses { calls: calls.into_iter().filter_map(call).collect(), taken }
    });
    uses.collect()
}

/// The function that an instruction is in, within its segment; where nothing tells where functions
/// begin, the segment, whose code compilers leave without gaps that cannot be decoded.
fn function(
    functions: Option<&Functions<'_>>,
    code: &[(&[u8], u64)],
    at: u64,
) -> Option<Range<u64>> {
    let within = |(bytes, base): &&(&[u8], u64)| {
        at.checked_sub(*base).is_some_and(|offset| offset < bytes.len() as u64)
    };
    let (bytes, base) = code.iter().find(within)?;
    let range = functions.map_or(Some(*base..u64::MAX), |functions| functions.around(at))?;
    let end = range.end.min(base.saturating_add(bytes.len() as u64));
    let is_sound = range.start >= *base && range.start <= at && at < end;
    (is_sound && end - range.start <= LARGEST_FUNCTION).then_some(range.start..end)
}

/// The constant arguments of the calls at these addresses; none for what is no instruction.
fn arguments(
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
