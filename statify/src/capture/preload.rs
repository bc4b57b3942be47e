//! The loader asked what a library needs: the program is run to its hand-off with libraries
//! preloaded, and what it opens, maps and asks is seen. Nothing of the libraries runs but IFUNC
//! resolvers, under the same filter as in a capture.

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use statify_elf::machine::{Machine, numbers};

use super::answer;
use super::launch::Launched;
use super::observe::{Observation, Observer};
use super::run_error::RunError;
use super::variation::Variation;
use super::{Subject, explain, filter, handoff, start};
use crate::error::{Error, Result};

/// A library that nobody has: the loader looks for it wherever it looks for libraries by name.
pub const NOWHERE: &str = "libstatify-looks-for-this.so";

/// What a run with libraries preloaded has shown.
#[derive(Debug)]
pub struct Preloaded {
    /// What was opened and mapped.
    pub observation: Observation,
    /// What the loader said.
    pub messages: String,
    /// Why it did not come to the hand-off. What it has mapped before is of use all the same: a
    /// symbol may come from a library that the program opens first, a resolver may need one.
    pub failure: Option<Error>,
}

/// Runs `subject` with `libraries` (paths, or names to look for) preloaded.
pub fn preload(subject: &Subject, variation: &Variation, libraries: &[&[u8]]) -> Result<Preloaded> {
    let mut variable = b"LD_PRELOAD=".to_vec();
    variable.extend(NOWHERE.as_bytes());
    for library in libraries {
        variable.push(b':');
        variable.extend(*library);
    }
    let (mut launched, watchdog) = start(subject, variation, &[variable])?;
    let mut observer = Observer::new(subject.files.clone());
    let result = to_handoff(&mut launched, &mut observer, subject.machine);
    if watchdog.fired() {
        return Err(Error::Timeout(subject.program.clone(), subject.timeout.as_secs()));
    }
    let messages = launched.messages();
    let failure = result.err().map(|error| explain::explain_run(subject, error, messages.clone()));
    Ok(Preloaded { observation: observer.finish(), messages, failure })
}

fn to_handoff(
    launched: &mut Launched,
    observer: &mut Observer,
    machine: Machine,
) -> Result<(), RunError> {
    let tracee = &mut launched.tracee;
    let pid = tracee.pid();
    let regs = tracee.registers()?;
    let entry = regs.instruction_pointer();
    let handoff = handoff::after_first_call(tracee, machine, entry, regs.stack_pointer())?;
    tracee.set_breakpoint(handoff)?;
    let options = Options::PTRACE_O_EXITKILL
        | Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACESECCOMP
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK;
    ptrace::setoptions(pid, options)?;
    let (mut signal, mut foreign) = (None, false);
    loop {
        ptrace::syscall(pid, signal.take())?;
        match waitpid(pid, Some(WaitPidFlag::__WALL))? {
            WaitStatus::PtraceSyscall(_) => observer.call(pid, &tracee.registers()?),
            WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_SECCOMP) => {
                let mut regs = tracee.registers()?;
                let (number, args) = regs.call();
                if foreign && answer::names_file(number) {
                    return Err(RunError::Behaviour(answer::LOOKS_AT_FILE.into()));
                }
                let own = machine.call_number(number).unwrap_or(-1);
                foreign |= machine.sets_thread_pointer(own, &args);
                if let Some(answer) = answer(machine, number, args)? {
                    regs.skip_call(answer);
                    tracee.set_registers(&regs)?;
                }
            }
            WaitStatus::PtraceEvent(..) => {
                return Err(RunError::Behaviour("start another process or program".into()));
            }
            WaitStatus::Stopped(_, Signal::SIGTRAP)
                if tracee.registers()?.breakpoint() == handoff =>
            {
                return Ok(());
            }
            WaitStatus::Stopped(_, other) => signal = Some(other),
            WaitStatus::Exited(_, status) => {
                tracee.gone();
                return Err(RunError::Exited(status));
            }
            WaitStatus::Signaled(_, signal, _) => {
                tracee.gone();
                return Err(RunError::Killed(signal));
            }
            _ => {}
        }
    }
}

/// What a call that the filter does not simply allow gets: itself (`None`) or an answer.
fn answer(machine: Machine, number: i64, args: [u64; 6]) -> Result<Option<i64>, RunError> {
    let shared = |flags: u64| flags & libc::MAP_PRIVATE as u64 == 0;
    let own = machine.call_number(number).unwrap_or(-1);
    match number {
        numbers::SYS_mmap if shared(args[3]) => {
            Err(RunError::Behaviour("map shared memory".into()))
        }
        numbers::SYS_open if filter::writes(args[1]) => Err(answer::refused(number)),
        numbers::SYS_openat if filter::writes(args[2]) => Err(answer::refused(number)),
        numbers::SYS_mmap
        | numbers::SYS_stat
        | numbers::SYS_lstat
        | numbers::SYS_newfstatat
        | numbers::SYS_statx
        | numbers::SYS_getcwd
        | numbers::SYS_access
        | numbers::SYS_faccessat
        | numbers::SYS_faccessat2
        | numbers::SYS_set_tid_address
        | numbers::SYS_set_robust_list
        | numbers::SYS_rseq
        | numbers::SYS_brk
        | numbers::SYS_getrandom
        | numbers::SYS_readlink
        | numbers::SYS_readlinkat
        | numbers::SYS_getpid
        | numbers::SYS_gettid
        | numbers::SYS_getrlimit => Ok(None),
        _ if machine.is_own_call(own) => Ok(None),
        numbers::SYS_open if !filter::writes(args[1]) => Ok(None),
        numbers::SYS_openat if !filter::writes(args[2]) => Ok(None),
        numbers::SYS_prlimit64 if args[2] == 0 => Ok(None),
        numbers::SYS_write | numbers::SYS_writev if args[0] == 2 => Ok(None),
        answer::NEWER.. if own >= answer::NEWER => Ok(Some(-i64::from(libc::ENOSYS))),
        _ => Err(answer::refused(number)),
    }
}
