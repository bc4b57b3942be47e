//! Stepping a program from one system call to the next, to look at it while it stands still.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::process::End;

/// Runs `command` under ptrace and calls `look` at the exec and before and after every system call of
/// each of its threads and children.
pub fn step_by_syscall(
    command: &mut Command,
    limit: Duration,
    mut look: impl FnMut(Pid) -> Result<()>,
) -> Result<End> {
    command.process_group(0).stdin(Stdio::null());
    // SAFETY: between fork and exec the closure makes one system call and touches no memory but its own.
    unsafe { command.pre_exec(|| ptrace::traceme().map_err(Into::into)) };
    let main = Pid::from_raw(command.spawn()?.id().cast_signed());
    let (ended, end) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        let timed_out = matches!(end.recv_timeout(limit), Err(mpsc::RecvTimeoutError::Timeout));
        if timed_out {
            let _ = signal::killpg(main, Signal::SIGKILL);
        }
        timed_out
    });
    let result = step(main, &mut look);
    if result.is_err() {
        let _ = signal::killpg(main, Signal::SIGKILL);
        while let Ok(stop) = next_stop() {
            if let Some(pid) = stop.pid() {
                let _ = ptrace::cont(pid, None);
            }
        }
    }
    drop(ended);
    match watchdog.join() {
        Ok(true) => bail!("time limit exceeded under the tracer"),
        _ => result,
    }
}

fn next_stop() -> nix::Result<WaitStatus> {
    // Other threads of the test run have children of their own.
    waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD))
}

fn step(main: Pid, look: &mut impl FnMut(Pid) -> Result<()>) -> Result<End> {
    let mut end = None;
    let mut seen_exec = false;
    loop {
        let deliver = match next_stop() {
            Err(Errno::ECHILD) => break,
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(WaitStatus::Exited(pid, status)) => {
                end = if pid == main { Some(End::Exit(status)) } else { end };
                continue;
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) => {
                end = if pid == main { Some(End::Signal(signal)) } else { end };
                continue;
            }
            Ok(WaitStatus::Stopped(pid, Signal::SIGTRAP)) if pid == main && !seen_exec => {
                seen_exec = true;
                let options = Options::PTRACE_O_TRACESYSGOOD
                    | Options::PTRACE_O_TRACEEXEC
                    | Options::PTRACE_O_TRACECLONE
                    | Options::PTRACE_O_TRACEFORK
                    | Options::PTRACE_O_TRACEVFORK
                    | Options::PTRACE_O_EXITKILL;
                ptrace::setoptions(pid, options)?;
                (pid, None)
            }
            // A new thread or child starts with a SIGSTOP that is not its own.
            Ok(WaitStatus::Stopped(pid, Signal::SIGSTOP)) if pid != main => (pid, None),
            Ok(WaitStatus::Stopped(pid, signal)) => (pid, Some(signal)),
            Ok(WaitStatus::PtraceEvent(pid, ..) | WaitStatus::PtraceSyscall(pid)) => (pid, None),
            Ok(_) => continue,
        };
        let (pid, signal) = deliver;
        look(pid)?;
        match ptrace::syscall(pid, signal) {
            // It was killed while it stood still; its end is reported next.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    end.ok_or_else(|| anyhow::anyhow!("the program vanished"))
}
