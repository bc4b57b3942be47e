//! From the loader's first instruction to the hand-off: from stop to stop. [`super::answer`] says what becomes
//! of a system call, [`super::mmap`] where mappings go.

use nix::sys::signal::Signal;
use statify_elf::machine::{Answers, LONGEST_TRAP};
use statify_process::{Stop, Tracee};

use super::block::{Block, LOADER, Object};
use super::cpu_sites::ReplacedSites;
use super::rearrange::Arranged;
use super::run_error::RunError;
use super::variation::Variation;
use super::{Subject, handoff};

/// A call that the kernel must see again in the output's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelCall {
    /// Its number.
    pub number: i64,
    /// Its arguments; those behind the last that it has are 0.
    pub args: [u64; 4],
}

/// What happened up to the hand-off.
#[derive(Debug, Default)]
pub struct Record {
    /// In the order they were made.
    pub calls: Vec<KernelCall>,
    /// What else was mapped from files.
    pub objects: Vec<Object>,
    /// /etc/ld.so.preload exists and was hidden.
    pub preload_hidden: bool,
    /// getrandom(2) was called.
    pub used_getrandom: bool,
}

/// Runs the process to the hand-off and leaves it there. Returns the hand-off's address; `record`
/// is filled as far as it came.
pub fn run_to_handoff(
    tracee: &mut Tracee,
    arranged: &mut Arranged,
    variation: &Variation,
    record: &mut Record,
    subject: &Subject,
) -> Result<u64, RunError> {
    let loader = &record.objects[LOADER];
    let handoff = handoff::find(tracee, arranged, loader, subject)?;
    let saved = tracee.set_breakpoint(handoff)?;
    let (block, cpu_sites) = (&mut arranged.block, &mut arranged.cpu_sites);
    let mut run = Run { tracee, variation, block, cpu_sites, record, subject, foreign: false };
    let arrived = run.run_to_breakpoint();
    arrived.map_err(|error| run.say_whose(error))?;
    let mut regs = tracee.registers()?;
    if regs.breakpoint() != handoff || regs.stack_pointer() != arranged.stack.sp {
        return Err(RunError::Behaviour(format!(
            "stop at {:#x} on its own",
            regs.instruction_pointer()
        )));
    }
    tracee.poke(handoff, saved)?;
    regs.go_to(handoff);
    tracee.set_registers(&regs)?;
    Ok(handoff)
}

/// A process that runs.
pub struct Run<'a> {
    /// It.
    pub tracee: &'a mut Tracee,
    /// What it is told.
    pub variation: &'a Variation,
    /// Where its mappings go.
    pub block: &'a mut Block,
    /// The instructions in its code that tell of the CPU.
    pub cpu_sites: &'a mut ReplacedSites,
    /// What it does.
    pub record: &'a mut Record,
    /// What is captured.
    pub subject: &'a Subject,
    /// Code of others than the loader may run from now on: IFUNC resolvers. No file is named any more.
    pub foreign: bool,
}

impl Run<'_> {
    /// Runs to the next breakpoint, with all that happens on the way.
    pub fn run_to_breakpoint(&mut self) -> Result<(), RunError> {
        let mut signal = None;
        loop {
            self.tracee.resume(signal.take())?;
            match self.tracee.wait()? {
                Stop::Call(regs) => self.call(*regs)?,
                Stop::Trap => return Ok(()),
                Stop::Signal(Signal::SIGSEGV | Signal::SIGILL) if self.emulate()? => {}
                // Nothing handles these. They would not end process 1 of a namespace.
                Stop::Signal(
                    fault @ (Signal::SIGSEGV | Signal::SIGBUS | Signal::SIGILL | Signal::SIGFPE),
                ) => return Err(RunError::Killed(fault)),
                Stop::Signal(other) => signal = Some(other),
                Stop::Event(_) => {
                    return Err(RunError::Behaviour("start another process or program".into()));
                }
                Stop::Exited(status) => return Err(RunError::Exited(status)),
                Stop::Killed(signal) => return Err(RunError::Killed(signal)),
            }
        }
    }

    /// Adds whose code it is that did what no loader does: the module of the instruction, and
    /// the first other one, but for the loader, that the words on the stack lead back to.
    fn say_whose(&mut self, error: RunError) -> RunError {
        const WORDS: u64 = 512;
        let RunError::Behaviour(what) = error else {
            return error;
        };
        let Ok(regs) = self.tracee.registers() else {
            return RunError::Behaviour(what);
        };
        let objects = &self.record.objects;
        let module = |address: u64| objects.iter().position(|o| o.range.contains(&address));
        let inner = module(regs.instruction_pointer());
        let size = self.subject.machine.word();
        let mut words = (0..WORDS).map_while(|word| {
            self.tracee.read_word(regs.stack_pointer().checked_add(size * word)?, size).ok()
        });
        let caller =
            words.find_map(|word| module(word).filter(|&m| m > LOADER && Some(m) != inner));
        let name = |index: usize| objects[index].path.display();
        RunError::Behaviour(match (inner, caller) {
            (Some(inner), Some(caller)) => {
                format!("{what} (in {}, called from {})", name(inner), name(caller))
            }
            (Some(module), None) | (None, Some(module)) => format!("{what} (in {})", name(module)),
            (None, None) => what,
        })
    }

    /// Reads the instruction that it stopped at, and does it if it is one that traps.
    pub fn emulate(&mut self) -> Result<bool, RunError> {
        let mut regs = self.tracee.registers()?;
        let mut instruction = [0; LONGEST_TRAP];
        if let Some(own) = self.cpu_sites.replaced(regs.instruction_pointer()) {
            instruction[..own.len()].copy_from_slice(&own);
        } else if self.tracee.read(regs.instruction_pointer(), &mut instruction).is_err() {
            return Ok(false);
        }
        let answers = Answers { timestamp: self.variation.timestamp, cpu: self.variation.cpu };
        let emulated = regs.emulate(instruction, &answers);
        if emulated {
            self.tracee.set_registers(&regs)?;
        }
        Ok(emulated)
    }
}
