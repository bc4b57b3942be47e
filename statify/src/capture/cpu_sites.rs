//! Where the instructions that tell of the CPU (CPUID; `mrs` of some registers) cannot be made to trap (arch_prctl(2):
//! ARCH_SET_CPUID needs the CPU's help and Linux 4.12): in the traced process, and nowhere else, each of them is replaced by
//! an instruction that is invalid everywhere. Before anything of the process is read, the instructions are put back.

use std::collections::BTreeMap;

use statify_elf::machine::{CpuInstruction, UNDEFINED, tells_of_cpu};
use statify_elf::{ElfFile, PAGE};
use statify_process::Tracee;

use super::block::{Files, Object};

/// The instructions of a process that tell of the CPU.
#[derive(Debug, Default)]
pub struct ReplacedSites {
    /// They are replaced, since they do not trap.
    replacing: bool,
    /// Addresses whose instruction is, or is to be, another; and their own.
    sites: BTreeMap<u64, CpuInstruction>,
    /// The ones that are yet to be replaced: their memory was about to be mapped.
    pending: Vec<u64>,
}

impl ReplacedSites {
    /// Replaces those of the program and the loader, and of what is mapped later. `None` if one of
    /// the loader's may have been overlooked.
    pub fn replace(tracee: &Tracee, files: &Files, objects: &[Object]) -> Option<Self> {
        let mut replaced = Self { replacing: true, ..Self::default() };
        for (index, object) in objects.iter().enumerate() {
            let is_complete = replaced.expect(files, object);
            if index == 1 && !is_complete {
                return None;
            }
        }
        replaced.replace_pending(tracee);
        Some(replaced)
    }

    /// An object is about to be mapped. Returns whether all such instructions in it are known.
    pub fn expect(&mut self, files: &Files, object: &Object) -> bool {
        if !self.replacing {
            return true;
        }
        let Ok(elf) = ElfFile::parse(&object.bytes) else { return false };
        let Some(span) = elf.span() else { return false };
        let bias = object.range.start.wrapping_sub(span.start);
        let sites = files.cpu_sites(object, &elf);
        self.pending.extend(sites.addresses.iter().map(|address| bias.wrapping_add(*address)));
        sites.complete
    }

    /// Replaces those whose memory has been mapped meanwhile. The loader maps the later segments of a
    /// file without being stopped, and runs nothing of it before its next stop.
    pub fn replace_pending(&mut self, tracee: &Tracee) {
        let Self { sites, pending, .. } = self;
        pending.retain(|&address| {
            let Some(own) = telling(tracee, address) else { return true };
            let replaced = write(tracee, address, UNDEFINED).is_ok();
            if replaced {
                sites.insert(address, own);
            }
            !replaced
        });
    }

    /// Puts all back.
    pub fn put_back(&self, tracee: &Tracee) -> nix::Result<()> {
        self.sites.iter().try_for_each(|(&address, &own)| write(tracee, address, own))
    }

    /// Replaces all that were put back.
    pub fn replace_again(&self, tracee: &Tracee) -> nix::Result<()> {
        self.sites.keys().try_for_each(|&address| write(tracee, address, UNDEFINED))
    }

    /// The instruction that is at this address by right, if it has been replaced.
    pub fn replaced(&self, address: u64) -> Option<CpuInstruction> {
        self.sites.get(&address).copied()
    }
}

/// The instruction at an address, if it tells of the CPU.
fn telling(tracee: &Tracee, address: u64) -> Option<CpuInstruction> {
    let mut found = CpuInstruction::default();
    tracee.read(address, &mut found).ok()?;
    Some(found).filter(|found| tells_of_cpu(*found))
}

/// Writes an instruction, by a word that lies in the same page if the instruction does.
fn write(tracee: &Tracee, address: u64, instruction: CpuInstruction) -> nix::Result<()> {
    let before = (address % PAGE).min(8 - instruction.len() as u64);
    let word_at = address - before;
    let mut word = tracee.peek(word_at)?.to_le_bytes();
    word[before as usize..][..instruction.len()].copy_from_slice(&instruction);
    tracee.poke(word_at, i64::from_le_bytes(word))
}
