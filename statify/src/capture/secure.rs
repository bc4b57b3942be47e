//! What AT_SECURE changes: the loader run twice up to where it would load the first library, once
//! without and once with it, nothing else varied. By then it has looked at its variables; what else
//! depends on AT_SECURE is its search path, and that only where it says `$ORIGIN`.

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
use super::variation::{self, Mode, Variation};
use super::{Failure, Stage, Subject, explain, handoff, pin, start};
use crate::error::Error;

/// The loader's memory without and with AT_SECURE: the same addresses, as in the first capture.
#[derive(Debug)]
pub struct Secure {
    /// Without it.
    pub without: LoaderMemory,
    /// With it.
    pub with: LoaderMemory,
    /// The loader's function that reads the C library's variables; see [`super::tunables`].
    pub read_tunables: Option<u64>,
}

/// The loader's segments at one moment.
#[derive(Debug)]
pub struct LoaderMemory {
    /// The address of the first byte.
    pub start: u64,
    /// The bytes; zero where nothing can be read.
    pub bytes: Vec<u8>,
    /// The addresses of the process's stack.
    pub stack: Range<u64>,
    /// What has read the C library's variables meanwhile.
    read_tunables: Option<u64>,
}

/// Runs both on the CPU `cpu`. `None` if the loader does not ask, or if it differs in more than data.
pub fn capture(subject: &Subject, mode: Mode, cpu: usize) -> Result<Option<Secure>, Failure> {
    if subject.c_library.heeds_secure_itself() {
        return Ok(None);
    }
    pin(cpu);
    let memory = |secure| loader_memory(subject, &variation::secure(mode, secure));
    let (Some(without), Some(with)) = (memory(false)?, memory(true)?) else { return Ok(None) };
    let same = without.start == with.start && without.bytes.len() == with.bytes.len();
    let read_tunables = without.read_tunables;
    Ok(same.then_some(Secure { without, with, read_tunables }))
}

fn loader_memory(
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use statify_elf::c_library::CLibrary;
    use statify_elf::machine::{Cpu, Level, Machine};

    use super::*;
    use crate::capture::{Capture, Files, capture as capture_all};

    /// The oracle for stopping early: of a whole run to the hand-off, AT_SECURE changes these words
    /// and no others.
    #[test]
    fn nothing_else_depends_on_it_up_to_the_hand_off() {
        let program = std::env::current_exe().unwrap();
        let bytes = std::fs::read(&program).unwrap();
        let elf = statify_elf::ElfFile::parse(&bytes).unwrap();
        let interpreter = elf.interpreter().unwrap().unwrap();
        let interpreter = String::from_utf8(interpreter.to_vec()).unwrap().into();
        let timeout = Duration::from_secs(60);
        let c_library = CLibrary::Glibc;
        let subject = Subject {
            program,
            interpreter,
            c_library,
            machine: Machine::HOST,
            is_privileged: false,
            timeout,
            memory: None,
            files: Files::default(),
            sandbox: None,
            reader: None,
        };
        let cpu = Cpu::Of(Level::V1);
        let machine = Machine::HOST;
        let mode = Mode { machine, fixed: false, apart: false, bind_now: true, cpu, agent: false };
        let early = capture(&subject, mode, 0).map_err(|failure| failure.error).unwrap().unwrap();
        let whole = [false, true].map(|secure| {
            let variation = variation::secure(mode, secure);
            capture_all(&subject, &variation, 0).map_err(|failure| failure.error).unwrap()
        });
        // The initial stack lies elsewhere each time; the arguments' and the variables' strings are
        // above its pointer.
        let stacks = whole
            .each_ref()
            .map(|capture| capture.stack.sp - (1 << 16)..capture.stack.sp + (1 << 16));
        let mut late = BTreeSet::new();
        for address in whole.iter().flat_map(|capture| capture.pages.addresses()) {
            for offset in (0..statify_elf::PAGE).step_by(8) {
                let [a, b] = whole.each_ref().map(|capture| word(capture, address + offset));
                if a != b && !(stacks[0].contains(&a) && stacks[1].contains(&b)) {
                    late.insert(address + offset);
                }
            }
        }
        let words = early.without.bytes.chunks(8).zip(early.with.bytes.chunks(8)).enumerate();
        let differing = words.filter(|(_, (a, b))| {
            let in_stack = |bytes: &[u8], stack: &Range<u64>| {
                stack.contains(&u64::from_le_bytes(bytes.try_into().unwrap()))
            };
            a != b && !(in_stack(a, &early.without.stack) && in_stack(b, &early.with.stack))
        });
        let differing: BTreeSet<u64> =
            differing.map(|(index, _)| early.without.start + 8 * index as u64).collect();
        assert!(!differing.is_empty());
        assert_eq!(differing, late);
    }

    fn word(capture: &Capture, address: u64) -> u64 {
        let page = address & !(statify_elf::PAGE - 1);
        let from = (address - page) as usize;
        let bytes = capture.pages.get(page).map(|page| page[from..from + 8].to_vec());
        u64::from_le_bytes(bytes.unwrap_or_default().try_into().unwrap_or_default())
    }
}
