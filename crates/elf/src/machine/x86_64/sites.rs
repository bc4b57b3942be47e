//! Where a file executes CPUID. The bytes alone do not tell, since instructions have any length and
//! may contain them; so functions are decoded from their first instruction on.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic};
use memchr::memmem;

use crate::ElfFile;
use crate::machine::CpuSites;

/// `cpuid`.
pub const CPUID: [u8; 2] = [0x0f, 0xa2];

/// What bytes that look like a CPUID are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Instruction,
    PartOfAnother,
    Unknown,
}

/// See [`crate::machine::Machine::cpu_sites`]. The time that it takes does not depend on what the table of
/// functions says.
pub fn cpu_sites(elf: &ElfFile<'_>) -> CpuSites {
    sites_of(elf, 64)
}

/// The same of code whose mode has so many bits.
pub fn sites_of(elf: &ElfFile<'_>, bits: u32) -> CpuSites {
    let mut sites = CpuSites { addresses: Vec::new(), complete: true };
    let functions = elf.functions();
    for load in elf.loads().filter(|load| load.is_executable()) {
        let bytes = elf.contents(load).unwrap_or_default();
        let mut pass = Pass::new(bytes, load.p_vaddr, bits);
        for at in memmem::find_iter(bytes, &CPUID) {
            let address = load.p_vaddr + at as u64;
            let function = functions.as_ref().and_then(|functions| functions.around(address));
            let start = function.map_or(0, |function| function.start).max(load.p_vaddr);
            match pass.what_is_at(start, address) {
                Found::Instruction => sites.addresses.push(address),
                Found::PartOfAnother => {}
                Found::Unknown => sites.complete = false,
            }
        }
    }
    sites.addresses.sort_unstable();
    sites
}

/// One pass over a segment's code: asked for ascending addresses, it goes on in the function that
/// it is in where it stopped, so that no function is decoded from its beginning twice.
struct Pass<'a> {
    bytes: &'a [u8],
    /// Of the mode: 64 or 32.
    bits: u32,
    /// The address of the first byte.
    base: u64,
    /// The beginning of the function that it is in.
    function: u64,
    decoder: Decoder<'a>,
    /// The last instruction decoded.
    last: Instruction,
    /// It is none, and nothing is known of what comes behind it.
    lost: bool,
    /// The first address that no instruction decoded so far reaches.
    end: u64,
}

impl<'a> Pass<'a> {
    fn new(bytes: &'a [u8], base: u64, bits: u32) -> Self {
        let decoder = Decoder::with_ip(bits, bytes, base, DecoderOptions::NONE);
        let last = Instruction::default();
        Self { bytes, bits, base, function: base, decoder, last, lost: false, end: base }
    }

    /// What the bytes at `address` are, in the function that begins at `start`.
    fn what_is_at(&mut self, start: u64, address: u64) -> Found {
        if start != self.function && !self.enter(start) {
            return Found::Unknown;
        }
        while self.end <= address && !self.lost && self.decoder.can_decode() {
            self.decoder.decode_out(&mut self.last);
            self.lost = self.last.is_invalid();
            self.end = self.decoder.ip();
        }
        if self.end <= address || self.lost {
            return Found::Unknown;
        }
        let exact = self.last.ip() == address && self.last.mnemonic() == Mnemonic::Cpuid;
        if exact { Found::Instruction } else { Found::PartOfAnother }
    }

    /// Goes on in another function. A table whose functions are not in order, or overlap by more than
    /// an instruction, is not believed.
    fn enter(&mut self, start: u64) -> bool {
        const LONGEST: u64 = 15;
        let offset = start.checked_sub(self.base).and_then(|offset| usize::try_from(offset).ok());
        let rest = offset.and_then(|offset| self.bytes.get(offset..));
        let Some(rest) = rest.filter(|_| start.saturating_add(LONGEST) >= self.end) else {
            return false;
        };
        self.decoder = Decoder::with_ip(self.bits, rest, start, DecoderOptions::NONE);
        (self.function, self.lost, self.end) = (start, false, start);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_within_another_instruction_are_none() {
        // mov eax, 0xa20f; cpuid; cpuid
        let code = [0xb8, 0x0f, 0xa2, 0, 0, 0x0f, 0xa2, 0x0f, 0xa2];
        let mut pass = Pass::new(&code, 0x1000, 64);
        assert_eq!(pass.what_is_at(0x1000, 0x1001), Found::PartOfAnother);
        assert_eq!(pass.what_is_at(0x1000, 0x1005), Found::Instruction);
        assert_eq!(pass.what_is_at(0x1000, 0x1007), Found::Instruction);
    }

    #[test]
    fn behind_what_is_no_instruction_the_next_function_is_known() {
        // An instruction that is none in 64-bit mode comes first.
        let code = [0x06, 0x0f, 0xa2, 0x0f, 0xa2];
        let mut pass = Pass::new(&code, 0, 64);
        assert_eq!(pass.what_is_at(0, 1), Found::Unknown);
        assert_eq!(pass.what_is_at(3, 3), Found::Instruction);
    }

    #[test]
    fn functions_in_disorder_are_not_decoded_again() {
        let mut code = vec![0x90; 100];
        code.extend(CPUID);
        let mut pass = Pass::new(&code, 0, 64);
        assert_eq!(pass.what_is_at(50, 100), Found::Instruction);
        assert_eq!(pass.what_is_at(1, 100), Found::Unknown);
        assert_eq!(pass.what_is_at(1000, 1000), Found::Unknown);
    }

    #[test]
    fn a_function_takes_time_in_proportion_to_its_size() {
        // mov eax, 0x1100a20f, again and again: decoded from the beginning each time, that would be
        // 40 GB.
        let code = [0xb8, 0x0f, 0xa2, 0, 0x11].repeat(128 << 10);
        let begun = std::time::Instant::now();
        let mut pass = Pass::new(&code, 0, 64);
        let mut found = memmem::find_iter(&code, &CPUID).map(|at| pass.what_is_at(0, at as u64));
        assert!(found.all(|found| found == Found::PartOfAnother));
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    }
}
