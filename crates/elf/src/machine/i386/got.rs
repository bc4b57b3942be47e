//! Where the register that finds constants in position-independent code points: the psABI's _GLOBAL_OFFSET_TABLE_,
//! which linkers put where they like. Functions get it by calling a piece of code that returns its return address
//! (`__x86.get_pc_thunk.bx`), and adding a constant.

use goblin::elf::dynamic;
use iced_x86::Register;
use memchr::memmem;

use crate::{DynamicFacts, ElfFile};

/// `mov reg, [esp]; ret`, without the byte that names the register.
const THUNK: [u8; 4] = [0x8b, 0x00, 0x24, 0xc3];

/// The register into which the code at an address puts its return address, if that is all it does.
pub fn thunk(elf: &ElfFile<'_>, address: u64) -> Option<Register> {
    let code = *elf.from(address)?.first_chunk::<4>()?;
    if [code[0], code[2], code[3]] != [THUNK[0], THUNK[2], THUNK[3]] {
        return None;
    }
    Some(match code[1] {
        0x04 => Register::EAX,
        0x0c => Register::ECX,
        0x14 => Register::EDX,
        0x1c => Register::EBX,
        0x2c => Register::EBP,
        0x34 => Register::ESI,
        0x3c => Register::EDI,
        _ => return None,
    })
}

/// The address (before any bias): that to which the first functions come which ask for it, and else DT_PLTGOT, where
/// most linkers put it.
pub fn table(elf: &ElfFile<'_>, facts: &DynamicFacts<'_>) -> Option<u64> {
    // call; add ebx, constant.
    const ADD: [u8; 2] = [0x81, 0xc3];
    for (load, bytes) in elf.distinct_loads().into_iter().filter(|(load, _)| load.is_executable()) {
        for at in memmem::find_iter(bytes, &ADD) {
            let Some([0xe8, distance @ ..]) =
                at.checked_sub(5).and_then(|at| bytes[at..].first_chunk::<5>())
            else {
                continue;
            };
            let here = load.p_vaddr.wrapping_add(at as u64);
            let target = near(here, *distance);
            let constant = bytes.get(at + 2..).and_then(|rest| rest.first_chunk::<4>());
            if let (Some(Register::EBX), Some(constant)) = (thunk(elf, target), constant) {
                return Some(near(here, *constant));
            }
        }
    }
    facts.value(dynamic::DT_PLTGOT)
}

/// The address at a distance from another.
pub fn near(from: u64, distance: [u8; 4]) -> u64 {
    u64::from((from as u32).wrapping_add(u32::from_le_bytes(distance)))
}
