//! Instructions, as far as addresses and branches go through them (Arm ARM, "A64 Instruction Set Encoding"). Each has
//! four bytes, the lowest first whatever the order of data is.

/// An instruction. Registers are numbers, 31 for none: what is written there is lost, or is the stack pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// `adr`, `adrp`: an address into a register.
    Address(u8, u64),
    /// `add`: a register is another plus a constant.
    Add(u8, u8, u64),
    /// `mov`, `movz`, `movn`: a constant.
    Constant(u8, u64),
    /// `movk`: 16 bits from a bit on are replaced.
    Keep(u8, u64, u32),
    /// `mov`: a register is another; 64 bits, or 32.
    Move(u8, u8, bool),
    /// `ldr` of 64 bits: a register is the word at another plus a constant.
    Load(u8, u8, u64),
    /// `b`.
    Branch(u64),
    /// `b.cond`, `cbz`, `tbz` and the like.
    Conditional(u64),
    /// `bl`.
    Call(u64),
    /// `blr` and its kin with authentication: to where a register says.
    CallRegister(u8),
    /// `br` and its kin.
    BranchRegister(u8),
    /// `ret` and its kin, and what ends or leaves a program.
    Leave,
    /// Another, with what it may write: up to four registers.
    Other([u8; 4]),
}

/// `bti c`.
pub const BTI_C: u32 = 0xd503_245f;
/// `autiasp`.
pub const AUTIASP: u32 = 0xd503_23bf;
/// `autia1716`.
pub const AUTIA1716: u32 = 0xd503_219f;
/// `ret`.
pub const RET: u32 = 0xd65f_03c0;
/// `ldp x29, x30, [sp], #16`.
pub const LEAVE_FRAME: u32 = 0xa8c1_7bfd;
/// `br x17`.
pub const BR_X17: u32 = 0xd61f_0220;

/// `svc #0`.
pub const SVC: u32 = 0xd400_0001;

/// `b` or `bl` at an address, to another; `None` if that is too far away.
pub fn branch(at: u64, to: u64, is_call: bool) -> Option<[u8; 4]> {
    const REACH: std::ops::Range<i64> = -(1 << 27)..1 << 27;
    let distance = to.wrapping_sub(at).cast_signed();
    if !REACH.contains(&distance) || distance % 4 != 0 {
        return None;
    }
    let opcode = if is_call { 0x9400_0000 } else { 0x1400_0000 };
    Some((opcode | (distance >> 2) as u32 & 0x03ff_ffff).to_le_bytes())
}

/// None of the registers.
const NONE: u8 = 31;

/// The instructions of code at an address, each with its own.
pub fn instructions(
    bytes: &[u8],
    base: u64,
) -> impl DoubleEndedIterator<Item = (u64, u32)> + ExactSizeIterator {
    let words = bytes.as_chunks::<4>().0.iter().enumerate();
    words.map(move |(number, word)| {
        (base.wrapping_add(4 * number as u64), u32::from_le_bytes(*word))
    })
}

impl Instruction {
    /// That which these four bytes are at an address.
    pub fn decode(word: u32, at: u64) -> Self {
        let field = |low: u32| (word >> low & 31) as u8;
        let (rd, rn, rm) = (field(0), field(5), field(16));
        if word & 0x1f00_0000 == 0x1000_0000 {
            let distance = signed(word >> 5 & 0x7_ffff, 19) << 2 | i64::from(word >> 29 & 3);
            let is_page = word >> 31 == 1;
            let address = if is_page {
                (at & !0xfff).wrapping_add_signed(distance << 12)
            } else {
                at.wrapping_add_signed(distance)
            };
            return Self::Address(rd, address);
        }
        let branch = |bits: u32, low: u32| {
            at.wrapping_add_signed(signed(word >> low & ((1 << bits) - 1), bits) << 2)
        };
        match word >> 24 {
            0x91 if word & 0x80_0000 == 0 => {
                let shift = if word & 0x40_0000 == 0 { 0 } else { 12 };
                return Self::Add(rd, rn, u64::from(word >> 10 & 0xfff) << shift);
            }
            0xf9 if word & 0xc0_0000 == 0x40_0000 => {
                return Self::Load(rd, rn, u64::from(word >> 10 & 0xfff) * 8);
            }
            0x14..=0x17 => return Self::Branch(branch(26, 0)),
            0x94..=0x97 => return Self::Call(branch(26, 0)),
            0x54 | 0x34 | 0x35 | 0xb4 | 0xb5 => return Self::Conditional(branch(19, 5)),
            0x36 | 0x37 | 0xb6 | 0xb7 => return Self::Conditional(branch(14, 5)),
            0xd6 | 0xd7 => {
                return match word >> 21 & 7 {
                    0 => Self::BranchRegister(rn),
                    1 => Self::CallRegister(rn),
                    _ => Self::Leave,
                };
            }
            // Exceptions: brk, hlt and udf go no further; svc comes back with a result.
            0xd4 if word & 0xe0_001f != 1 => return Self::Leave,
            0xd4 => return Self::Other([0, NONE, NONE, NONE]),
            _ => {}
        }
        let (constant, shift) = (u64::from(word >> 5 & 0xffff), 16 * (word >> 21 & 3));
        let narrow = |value: u64| if word >> 31 == 0 { value & 0xffff_ffff } else { value };
        match word & 0x7f80_0000 {
            0x5280_0000 => return Self::Constant(rd, constant << shift),
            0x1280_0000 => return Self::Constant(rd, narrow(!(constant << shift))),
            0x7280_0000 => return Self::Keep(rd, constant, shift),
            _ => {}
        }
        // orr rd, zero, rm
        if word & 0x7fe0_ffe0 == 0x2a00_03e0 {
            return Self::Move(rd, rm, word >> 31 == 1);
        }
        Self::Other(Self::written(word))
    }

    /// The registers that an instruction may write which is none of the others.
    fn written(word: u32) -> [u8; 4] {
        let field = |low: u32| (word >> low & 31) as u8;
        let is_memory = word & 0x0a00_0000 == 0x0800_0000;
        let is_vector = word & 0x0400_0000 != 0;
        let loads = word & 0x0040_0000 != 0;
        if !is_memory {
            return [field(0), NONE, NONE, NONE];
        }
        if word & 0x3b00_0000 == 0x3900_0000 {
            // One register, at a constant distance.
            let is_store = word & 0x00c0_0000 == 0;
            let register = if is_vector || is_store { NONE } else { field(0) };
            return [register, NONE, NONE, NONE];
        }
        if word & 0x3a00_0000 == 0x2800_0000 {
            // Two.
            let moves = word & 0x0080_0000 != 0;
            let read = |register| if loads && !is_vector { register } else { NONE };
            return [read(field(0)), read(field(10)), if moves { field(5) } else { NONE }, NONE];
        }
        [field(0), field(5), field(10), field(16)]
    }
}

/// A number of so many bits, with its sign.
fn signed(value: u32, bits: u32) -> i64 {
    i64::from((value << (32 - bits)).cast_signed() >> (32 - bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_reach_128_mebibytes() {
        let read = |bytes: [u8; 4]| Instruction::decode(u32::from_le_bytes(bytes), 0x1000_0000);
        for to in [0x1000_0004, 0x800_0000, 0x17ff_fffc] {
            assert_eq!(branch(0x1000_0000, to, true).map(read), Some(Instruction::Call(to)));
            assert_eq!(branch(0x1000_0000, to, false).map(read), Some(Instruction::Branch(to)));
        }
        for to in [0x7ff_fffc, 0x1800_0000, 0x1000_0002] {
            assert_eq!(branch(0x1000_0000, to, false), None);
        }
    }

    #[test]
    fn instructions_as_objdump_says() {
        for (at, word, instruction) in [
            (0x640, 0x9000_0110, Instruction::Address(16, 0x20000)),
            (0x644, 0xf000_00f0, Instruction::Address(16, 0x1f000)),
            (0x648, 0xf947_fe11, Instruction::Load(17, 16, 4088)),
            (0x64c, 0x913f_e210, Instruction::Add(16, 16, 0xff8)),
            (0x650, 0xd61f_0220, Instruction::BranchRegister(17)),
            (0x774, 0x9400_0080, Instruction::Call(0x974)),
            (0x86c, 0x97ff_ffd9, Instruction::Call(0x7d0)),
            (0x8b0, 0xd63f_0020, Instruction::CallRegister(1)),
            (0x848, 0x5280_00c0, Instruction::Constant(0, 6)),
            (0x874, 0xaa00_03f4, Instruction::Move(20, 0, true)),
            (0x8b4, 0x2a00_03f3, Instruction::Move(19, 0, false)),
            (0x914, 0xd65f_03c0, Instruction::Leave),
            // stp x19, x20, [sp, #16]; ldp x29, x30, [sp], #48; str x21, [sp, #32]; ldr w2, [x2, x1]
            (0, 0xa901_53f3, Instruction::Other([31, 31, 31, 31])),
            (0, 0xa8c3_7bfd, Instruction::Other([29, 30, 31, 31])),
            (0, 0xf900_13f5, Instruction::Other([31, 31, 31, 31])),
            (0, 0xb861_6842, Instruction::Other([2, 2, 26, 1])),
            // cbz x0, -8; mov x0, #-1; brk #0x3e8; svc #0
            (0x100, 0xb4ff_ffc0, Instruction::Conditional(0xf8)),
            (0, 0x9280_0000, Instruction::Constant(0, u64::MAX)),
            (0, 0xd420_7d00, Instruction::Leave),
            (0, 0xd400_0001, Instruction::Other([0, 31, 31, 31])),
        ] {
            assert_eq!(Instruction::decode(word, at), instruction, "{word:#x}");
        }
    }
}
