//! The end of a child.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// Kills a child: by a handle that cannot mean another process, or where the kernel has none
/// (before Linux 5.3, or in some sandboxes) by its number, which it keeps until it is reaped.
pub fn kill(pid: Pid, pidfd: Option<&OwnedFd>) {
    let _ = match pidfd {
        Some(pidfd) => rustix::process::pidfd_send_signal(pidfd, rustix::process::Signal::KILL)
            .map_err(|errno| Errno::from_raw(errno.raw_os_error())),
        None => nix::sys::signal::kill(pid, Signal::SIGKILL),
    };
}
