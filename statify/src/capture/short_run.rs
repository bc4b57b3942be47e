//! A short run: the loader up to where it would load the first library. By then it has looked at the auxiliary vector, at its
//! variables and at the CPU.

use std::ops::Range;

use nix::sys::signal::Signal;
use statify_elf::PROT_READ;
use statify_process::Stop;

use super::block::LOADER;
use super::launch::Launched;
use super::rearrange::{self, read_maps};
use super::run::{Record, Run};
use super::run_error::RunError;
use super::tunables::Search;
use super::variation::Variation;
use super::{Failure, Stage, Subject, explain, handoff, start};
use crate::error::Error;

/// The loader's segments at one moment.
#[derive(Debug)]
pub struct LoaderMemory {
    /// The address of the first byte.
    pub start: u64,
    /// The bytes; zero where nothing can be read.
    pub bytes: Vec<u8>,
    /// The addresses of the process's stack.
    pub stack: Range<u64>,
    /// The loader's function that has read the C library's variables meanwhile; see [`super::tunables`].
    pub read_tunables: Option<u64>,
}

/// Runs it. `None` if the loader does not ask for the file of preloaded libraries.
pub fn loader_memory(
    subject: &Subject,
    variation: &Variation,
) -> Result<Option<LoaderMemory>, Failure> {
    let (mut launched, watchdog) = start(subject, variation, &[])?;
    match to_question(&mut launched, subject, variation) {
        Ok(memory) => Ok(memory),
        Err(_) if watchdog.fired() => {
            Err(Error::Timeout(subject.program.clone(), subject.timeout.as_secs()).into())
        }
        Err(stage) => Err(explain::explain(subject, stage, launched.messages(), &[])),
    }
}

/// The loader's memory when it has asked for the file of preloaded libraries.
fn to_question(
    launched: &mut Launched,
    subject: &Subject,
    variation: &Variation,
) -> Result<Option<LoaderMemory>, Stage> {
    let system = |errno| Stage::Run(RunError::System(errno));
    let tracee = &mut launched.tracee;
    let mut arranged =
        rearrange::rearrange(tracee, variation, subject).map_err(Stage::Rearrange)?;
    // No further in any case: a loader that does not ask would go on to the program.
    let handoff =
        handoff::find(tracee, &arranged, &arranged.objects[LOADER], subject).map_err(Stage::Run)?;
    tracee.set_breakpoint(handoff).map_err(system)?;
    let search = Search::start(tracee, &arranged.objects[LOADER], &arranged.stack);
    let mut search = search.map_err(system)?;
    let mut record = Record::default();
    let loader = arranged.objects[LOADER].range.clone();
    let (block, cpu_sites) = (&mut arranged.block, &mut arranged.cpu_sites);
    let mut run =
        Run { tracee, variation, block, cpu_sites, record: &mut record, subject, foreign: false };
    let (mut signal, mut asked) = (None, false);
    loop {
        run.tracee.resume(signal.take()).map_err(system)?;
        match run.tracee.wait().map_err(system)? {
            // Its error number must be the same in both, so the answer is waited for.
            Stop::Call(_) if asked => break,
            Stop::Call(regs) => {
                asked = run.asks_for_preload_file(&regs);
                match run.call(*regs) {
                    Err(RunError::Behaviour(_)) => return Ok(None),
                    other => other.map_err(Stage::Run)?,
                }
            }
            Stop::Signal(Signal::SIGSEGV | Signal::SIGILL)
                if run.emulate().map_err(Stage::Run)? => {}
            Stop::Signal(
                fault @ (Signal::SIGSEGV | Signal::SIGBUS | Signal::SIGILL | Signal::SIGFPE),
            ) => return Err(Stage::Run(RunError::Killed(fault))),
            Stop::Signal(other) => signal = Some(other),
            Stop::Killed(signal) => return Err(Stage::Run(RunError::Killed(signal))),
            Stop::Trap if search.passes(run.tracee).map_err(system)? => {}
            Stop::Trap | Stop::Event(_) | Stop::Exited(_) => return Ok(None),
        }
    }
    let read_tunables = search.end(tracee).map_err(system)?;
    let mut bytes = vec![0; (loader.end - loader.start) as usize];
    let maps = read_maps(tracee.pid()).map_err(Stage::Snapshot)?;
    for mapping in &maps {
        let readable = mapping.prot & PROT_READ != 0;
        // The kernel joins the loader's last mapping with anonymous memory behind it.
        let from = mapping.range.start.max(loader.start);
        let to = mapping.range.end.min(loader.end);
        if readable && from < to {
            let part = (from - loader.start) as usize..(to - loader.start) as usize;
            tracee.read(from, &mut bytes[part]).map_err(system)?;
        }
    }
    let stack = maps.iter().find(|mapping| mapping.range.contains(&arranged.stack.sp));
    Ok(stack.map(|stack| {
        let (start, stack) = (loader.start, stack.range.clone());
        LoaderMemory { start, bytes, stack, read_tunables }
    }))
}
