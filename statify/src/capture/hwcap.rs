//! What bits of AT_HWCAP and its kind change: [short runs](super::short_run) on CPUs that differ in these bits, nothing else
//! varied.

use super::short_run::{LoaderMemory, loader_memory};
use super::variation::{self, Mode};
use super::{Subject, pin};

/// The loader's memory on each of [`statify_elf::machine::Cpu::coded`], at the same addresses as in the first capture. None
/// where the kernel tells nothing of the kind, where the C library chooses nothing, or where one of them fails: then words
/// that depend on such a bit stay as they are on the least CPU.
pub fn capture(subject: &Subject, mode: Mode, number: usize) -> Vec<LoaderMemory> {
    if !subject.c_library.chooses_for_cpu() {
        return Vec::new();
    }
    pin(number);
    let run = |cpu| loader_memory(subject, &variation::coded(mode, cpu)).ok().flatten();
    mode.cpu.coded().into_iter().map(run).collect::<Option<_>>().unwrap_or_default()
}
