//! What bits of AT_HWCAP and its kind change: [short runs](super::short_run) on CPUs that differ in these bits, nothing else
//! varied.

use super::short_run::{LoaderMemory, loader_memory};
use super::variation::{self, Mode};
use super::{Failure, Subject, pin};

/// The loader's memory on each of [`statify_elf::machine::Cpu::coded`], at the same addresses as in the first capture. None
/// where the kernel tells nothing of the kind, where the C library chooses nothing, or where the loader does not come that far
/// on one of them: then words that depend on such a bit stay as they are on the least CPU.
pub fn capture(subject: &Subject, mode: Mode, number: usize) -> Result<Vec<LoaderMemory>, Failure> {
    if !subject.c_library.chooses_for_cpu() {
        return Ok(Vec::new());
    }
    pin(number);
    let mut all = Vec::new();
    for cpu in mode.cpu.coded() {
        match loader_memory(subject, &variation::coded(mode, cpu)) {
            Ok(Some(memory)) => all.push(memory),
            Err(failure) if failure.is_of_time() => return Err(failure),
            _ => return Ok(Vec::new()),
        }
    }
    Ok(all)
}
