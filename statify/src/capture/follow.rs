//! A run of the program itself, as its user wants it, with everything that it opens seen: its
//! threads and its children as long as they are the same program.

use std::collections::HashSet;
use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use statify_elf::machine::Registers;
use statify_process::spawn;
use statify_program::Refusal;

use super::block::Files;
use super::explain;
use super::observe::{Observation, Observer};
use crate::error::{Error, Result};

/// How the run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With this status.
    Exited(i32),
    /// By this signal.
    Killed(Signal),
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exit status {status}"),
            Self::Killed(signal) => f.write_str(signal.as_str()),
        }
    }
}

/// Runs `program` with `arguments` to its end, and that of all its processes that are this program.
/// Environment, standard input and the like are those of this process; so is standard output, unless
/// it is to go `to_stderr`.
pub fn follow(
    program: &Path,
    arguments: &[OsString],
    to_stderr: bool,
    files: Files,
) -> Result<(Observation, Ending)> {
    let path = || program.to_owned();
    let refused = |errno: Errno| Error::Trace(path(), errno.into(), explain::cause_of_refusal());
    let root =
        launch(program, arguments, to_stderr).map_err(|error| Refusal::Program(path(), error))?;
    let mut run = Run {
        root,
        image: id_of(program).map_err(|error| Refusal::Program(path(), error))?,
        observer: Observer::new(files),
        tasks: HashSet::from([root]),
        early: HashSet::new(),
        ending: None,
    };
    run.begin(program)?;
    while !run.tasks.is_empty() {
        run.step().map_err(refused)?;
    }
    let ending = run.ending.ok_or_else(|| refused(Errno::ECHILD))?;
    Ok((run.observer.finish(), ending))
}

struct Run {
    /// The process that was started.
    root: Pid,
    /// The program's file.
    image: (u64, u64),
    observer: Observer,
    /// Threads that are traced.
    tasks: HashSet<Pid>,
    /// New threads whose stop came before their parent's word of them.
    early: HashSet<Pid>,
    ending: Option<Ending>,
}

impl Run {
    /// To the program's first instruction.
    fn begin(&mut self, program: &Path) -> Result<()> {
        let trace = |errno: Errno| {
            Error::Trace(program.to_owned(), errno.into(), explain::cause_of_refusal())
        };
        match waitpid(self.root, Some(WaitPidFlag::__WALL)).map_err(trace)? {
            WaitStatus::Stopped(..) => {}
            WaitStatus::Exited(_, errno) => {
                let error = io::Error::from_raw_os_error(errno);
                return Err(Refusal::Program(program.to_owned(), error).into());
            }
            _ => return Err(trace(Errno::ESRCH)),
        }
        let options = Options::PTRACE_O_EXITKILL
            | Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK;
        ptrace::setoptions(self.root, options).map_err(trace)?;
        resume(self.root, None);
        Ok(())
    }

    /// What happens next, to any of them.
    fn step(&mut self) -> nix::Result<()> {
        // Other threads of this process have children of their own.
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        let status = match waitpid(Pid::from_raw(-1), Some(flags)) {
            Err(Errno::EINTR) => return Ok(()),
            other => other?,
        };
        match status {
            WaitStatus::PtraceSyscall(task) => {
                if let Ok(regs) = ptrace::getregs(task).map(Registers::from) {
                    self.observer.call(task, &regs);
                }
                resume(task, None);
            }
            WaitStatus::PtraceEvent(task, _, libc::PTRACE_EVENT_EXEC) => self.executed(task),
            WaitStatus::PtraceEvent(task, ..) => {
                if let Ok(new) = ptrace::getevent(task) {
                    let new = Pid::from_raw(new as i32);
                    self.tasks.insert(new);
                    if self.early.remove(&new) {
                        resume(new, None);
                    }
                }
                resume(task, None);
            }
            WaitStatus::Stopped(task, Signal::SIGSTOP) if !self.tasks.contains(&task) => {
                self.early.insert(task);
            }
            WaitStatus::Stopped(task, signal) => self.stopped(task, signal),
            WaitStatus::Exited(task, status) => self.ended(task, Ending::Exited(status)),
            WaitStatus::Signaled(task, signal, _) => self.ended(task, Ending::Killed(signal)),
            _ => {}
        }
        Ok(())
    }

    /// What became another program runs on by itself.
    fn executed(&mut self, task: Pid) {
        if let Ok(former) = ptrace::getevent(task) {
            let former = Pid::from_raw(former as i32);
            if former != task {
                self.tasks.remove(&former);
                self.observer.forget(former);
            }
        }
        self.tasks.insert(task);
        if id_of(format!("/proc/{task}/exe").as_ref()).is_ok_and(|id| id == self.image) {
            self.observer.executed(task);
            resume(task, None);
        } else if task == self.root {
            // Its end is of interest, no more.
            self.observer.forget(task);
            let _ = ptrace::cont(task, None);
        } else {
            self.observer.forget(task);
            self.tasks.remove(&task);
            let _ = ptrace::detach(task, None);
        }
    }

    fn stopped(&mut self, task: Pid, signal: Signal) {
        // A new thread's first stop is none of the program's; neither is a group's stop.
        let is_signal = ptrace::getsiginfo(task).is_ok();
        let is_first = signal == Signal::SIGSTOP && self.observer.is_new(task);
        resume(task, (is_signal && !is_first).then_some(signal));
    }

    fn ended(&mut self, task: Pid, ending: Ending) {
        self.tasks.remove(&task);
        self.early.remove(&task);
        self.observer.forget(task);
        if task == self.root {
            self.ending = Some(ending);
        }
    }
}

/// Lets it run to its next call; that it is gone shows in the next wait.
fn resume(task: Pid, signal: Option<Signal>) {
    let _ = ptrace::syscall(task, signal);
}

fn id_of(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = std::fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn launch(program: &Path, arguments: &[OsString], to_stderr: bool) -> io::Result<Pid> {
    let text = |bytes: &[u8]| CString::new(bytes).map_err(|_| io::Error::from(Errno::EINVAL));
    let path = text(program.as_os_str().as_bytes())?;
    let mut strings = vec![path.clone()];
    for argument in arguments {
        strings.push(text(argument.as_bytes())?);
    }
    let argv: Vec<_> = strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect();
    let mut variables = Vec::new();
    for (name, value) in std::env::vars_os() {
        variables.push(text(&[name.as_bytes(), b"=", value.as_bytes()].concat())?);
    }
    let envp: Vec<_> = variables.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect();
    let mut become_program = || {
        if to_stderr {
            // SAFETY: dup2(2) touches no memory; the numbers are the child's own.
            unsafe { libc::dup2(libc::STDERR_FILENO, libc::STDOUT_FILENO) };
        }
        match ptrace::traceme() {
            Ok(()) => {
                // SAFETY: the strings end with NULs, the arrays with null pointers.
                unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
                Errno::last_raw()
            }
            Err(errno) => errno as i32,
        }
    };
    // SAFETY: the child makes system calls only, on memory that was allocated before.
    Ok(unsafe { spawn(0, &mut become_program) }?)
}
