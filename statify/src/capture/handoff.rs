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

/// Where the first call in the loader's entry code returns to, as soon as the stack is as it was before
/// (`_dl_start_user` in glibc, or an instruction before that). `sp` is the initial stack pointer.
pub fn after_first_call(
    tracee: &mut Tracee,
    machine: Machine,
    loader_entry: u64,
    sp: u64,
) -> Result<u64, RunError> {
    /// No instructions are longer that take back what was pushed for a call.
    const LONGEST: usize = 16;
    let word = machine.word();
    let (mut before, mut stack) = (loader_entry, sp);
    for _ in 0..MOST_STEPS {
        match tracee.step()? {
            Stop::Trap => {}
            Stop::Killed(signal) => return Err(RunError::Killed(signal)),
            Stop::Exited(status) => return Err(RunError::Exited(status)),
            Stop::Call(_) | Stop::Signal(_) | Stop::Event(_) => return Err(RunError::Loader),
        }
        let regs = tracee.registers()?;
        let read = |at| tracee.read_word(at, word).ok();
        if let Some((back, stack)) = regs.called(before, stack, read) {
            let mut code = [0; LONGEST];
            tracee.read(back, &mut code)?;
            let pushed = sp.wrapping_sub(stack);
            let behind = machine.stack_restored(&code, pushed).ok_or(RunError::Loader)?;
            return Ok(back.wrapping_add(behind));
        }
        (before, stack) = (regs.instruction_pointer(), regs.stack_pointer());
    }
    Err(RunError::Loader)
}
