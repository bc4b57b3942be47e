//! Ends a program at the n-th step that changes files: it is traced from outside, with its threads but
//! without its children, which it traces itself.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// What changes files or makes changes last.
const STEPS: &[i64] = &[
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_link,
    libc::SYS_linkat,
    libc::SYS_unlink,
    libc::SYS_unlinkat,
    libc::SYS_mkdir,
    libc::SYS_mkdirat,
    libc::SYS_rmdir,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_ftruncate,
    libc::SYS_write,
    libc::SYS_pwrite64,
    libc::SYS_utimensat,
    libc::SYS_fchmod,
    libc::SYS_chmod,
    libc::SYS_lsetxattr,
    libc::SYS_syncfs,
    libc::SYS_copy_file_range,
];

/// Runs `command`, and kills it as it is about to make its `last`-th step, counted from 1. True if that
/// came; else it has ended by itself, well.
pub fn kill_at(command: &mut Command, last: usize) -> Result<bool> {
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: between fork and exec the closure makes one system call and touches no memory but its own.
    unsafe { command.pre_exec(|| ptrace::traceme().map_err(Into::into)) };
    let main = Pid::from_raw(command.spawn()?.id().cast_signed());
    let wait = || waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD));
    wait()?;
    let options =
        Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_EXITKILL;
    ptrace::setoptions(main, options)?;
    ptrace::syscall(main, None)?;
    let mut steps = 0;
    let mut killed = false;
    let mut status = None;
    let mut inside = std::collections::BTreeSet::new();
    loop {
        let (pid, deliver) = match wait() {
            Err(Errno::ECHILD) => break,
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(WaitStatus::Exited(pid, code)) => {
                status = if pid == main { Some(code) } else { status };
                continue;
            }
            Ok(WaitStatus::Signaled(..)) => continue,
            Ok(WaitStatus::PtraceSyscall(pid)) => {
                let enters = inside.insert(pid) || !inside.remove(&pid);
                if enters && !killed {
                    let number = ptrace::getregs(pid).map(|regs| regs.orig_rax.cast_signed());
                    steps += usize::from(number.is_ok_and(|number| STEPS.contains(&number)));
                    if steps == last {
                        killed = true;
                        signal::kill(main, Signal::SIGKILL)?;
                        continue;
                    }
                }
                (pid, None)
            }
            Ok(
                WaitStatus::PtraceEvent(pid, ..)
                | WaitStatus::Stopped(pid, Signal::SIGSTOP | Signal::SIGTRAP),
            ) => (pid, None),
            Ok(WaitStatus::Stopped(pid, signal)) => (pid, Some(signal)),
            Ok(_) => continue,
        };
        match ptrace::syscall(pid, deliver) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if !killed {
        let code = status.context("it was killed by somebody else")?;
        anyhow::ensure!(code == 0, "it ended with status {code} after {steps} steps");
    }
    Ok(killed)
}
