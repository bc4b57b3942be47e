//! The instruction at which a loader is done: where a capture is taken and an output continues.

use statify_elf::c_library::CLibrary;
use statify_elf::machine::Machine;
use statify_process::{Stop, Tracee};

use super::Subject;
use super::auxv::AT_ENTRY;
use super::block::Object;
use super::rearrange::Arranged;
use super::run_error::RunError;

/// glibc's entry code is a handful of instructions up to its call.
const MOST_STEPS: usize = 32;

/// Finds it. The process may have gone some instructions further.
pub fn find(
    tracee: &mut Tracee,
    arranged: &Arranged,
    loader: &Object,
    subject: &Subject,
) -> Result<u64, RunError> {
    match subject.c_library {
        CLibrary::Glibc => {
            let (entry, sp) = (arranged.loader_entry, arranged.stack.sp);
            let step = || {
                let handoff = after_first_call(tracee, subject.machine, entry, sp)?;
                Ok::<u64, RunError>(handoff.wrapping_sub(entry))
            };
            Ok(entry.wrapping_add(subject.files.handoff(loader, step)?))
        }
        // musl jumps to the program's entry point itself, with the stack as the kernel made it.
        CLibrary::Musl => arranged.stack.value(AT_ENTRY).ok_or(RunError::Loader),
    }
}

/// The return address of the first call in the loader's entry code (`_dl_start_user` in glibc).
/// `sp` is the initial stack pointer.
pub fn after_first_call(
    tracee: &mut Tracee,
    machine: Machine,
    loader_entry: u64,
    sp: u64,
) -> Result<u64, RunError> {
    let mut before = loader_entry;
    for _ in 0..MOST_STEPS {
        match tracee.step()? {
            Stop::Trap => {}
            Stop::Killed(signal) => return Err(RunError::Killed(signal)),
            Stop::Exited(status) => return Err(RunError::Exited(status)),
            Stop::Call(_) | Stop::Signal(_) | Stop::Event(_) => return Err(RunError::Loader),
        }
        let regs = tracee.registers()?;
        if let Some(at) = regs.return_address(sp) {
            let back = tracee.read_word(at)?;
            let is_call = machine.is_call(before, back);
            return if is_call { Ok(back) } else { Err(RunError::Loader) };
        }
        before = regs.instruction_pointer();
    }
    Err(RunError::Loader)
}
