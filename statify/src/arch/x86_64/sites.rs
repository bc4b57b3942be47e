//! Where a file executes CPUID. The bytes alone do not tell, since instructions have any length and
//! may contain them; so functions are decoded from their first instruction on.

use iced_x86::{Decoder, DecoderOptions, Mnemonic};
use memchr::memmem;

use crate::elf::ElfFile;

/// `cpuid`.
pub const CPUID: [u8; 2] = [0x0f, 0xa2];
/// `ud2`, as long as `cpuid`, and an invalid instruction on every CPU.
pub const UNDEFINED: [u8; 2] = [0x0f, 0x0b];

/// The CPUID instructions of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuidSites {
    /// Their addresses, before any bias; ascending.
    pub addresses: Vec<u64>,
    /// No bytes that look like one are left that could not be decoded.
    pub complete: bool,
}

/// What bytes that look like a CPUID are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Instruction,
    PartOfAnother,
    Unknown,
}

/// Finds them.
pub fn cpuid_sites(elf: &ElfFile<'_>) -> CpuidSites {
    let mut sites = CpuidSites { addresses: Vec::new(), complete: true };
    let functions = elf.functions();
    for load in elf.loads().filter(|load| load.is_executable()) {
        let bytes = elf.contents(load).unwrap_or_default();
        for at in memmem::find_iter(bytes, &CPUID) {
            let address = load.p_vaddr + at as u64;
            let function = functions.as_ref().and_then(|functions| functions.around(address));
            let start = function.map_or(0, |function| function.start).max(load.p_vaddr);
            match decode(&bytes[(start - load.p_vaddr) as usize..], start, address) {
                Found::Instruction => sites.addresses.push(address),
                Found::PartOfAnother => {}
                Found::Unknown => sites.complete = false,
            }
        }
    }
    sites.addresses.sort_unstable();
    sites
}

/// Decodes `bytes`, which lie at `start`, up to `address`.
fn decode(bytes: &[u8], start: u64, address: u64) -> Found {
    for instruction in Decoder::with_ip(64, bytes, start, DecoderOptions::NONE).iter() {
        if instruction.is_invalid() {
            return Found::Unknown;
        }
        if instruction.next_ip() > address {
            let exact = instruction.ip() == address && instruction.mnemonic() == Mnemonic::Cpuid;
            return if exact { Found::Instruction } else { Found::PartOfAnother };
        }
    }
    Found::Unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_within_another_instruction_are_none() {
        // mov eax, 0xa20f; cpuid
        let code = [0xb8, 0x0f, 0xa2, 0, 0, 0x0f, 0xa2];
        assert!(decode(&code, 0x1000, 0x1001) == Found::PartOfAnother);
        assert!(decode(&code, 0x1000, 0x1005) == Found::Instruction);
        // An instruction that is none in 64-bit mode comes first.
        assert!(decode(&[0x06, 0x0f, 0xa2], 0, 1) == Found::Unknown);
    }
}
