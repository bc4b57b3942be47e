//! The sandbox in which a swept program runs, and the messages that cross its border.
//!
//! Some programs act as soon as they are called, so a run may touch nothing:
//!
//! | danger | what stands against it |
//! |---|---|
//! | files of the machine | a new root of read-only binds of `/usr`, `/etc`, `/opt`, `/sys`; nothing else is there ([`root`]) |
//! | sockets and FIFOs in the file system (docker, dbus, postfix) | `/run`, `/home`, `/srv` are empty, of `/var` only dpkg's data is there |
//! | abstract sockets, the network, netlink | a network namespace with nothing up |
//! | signals, ptrace, `/proc/PID` of others | a process id namespace with its own `/proc` |
//! | System V IPC, POSIX queues, shared memory | an IPC namespace, an own `/dev/shm` |
//! | host name | a UTS namespace |
//! | devices, consoles, kernel log | an own `/dev` of null, zero, full, random, urandom, tty and pseudo-terminals |
//! | reboot, mount, clock, modules | user nobody without capabilities, `nosuid`, no_new_privs |
//! | what no namespace confines: keyrings, vsock, io_uring; namespaces of its own | system calls by list ([`limits`]), as in every room |
//! | crash reporters on the host (`core_pattern`) | RLIMIT_CORE of 1, which the kernel reads as "no pipe" |
//! | endless loops, fork bombs, full disks, lost memory | resource limits, small tmpfs, highest OOM score |
//! | a terminal (TIOCSTI) | a session without one; stdin is `/dev/null` |
//! | what stays behind | process 1 dies with its parent, and all others with process 1 |

mod activity;
mod init;
mod launcher;
mod limits;
mod proof;
mod root;

pub use launcher::launch;
pub use proof::prove;

use std::path::PathBuf;

use rootfs_tools::check::outcome::End;
use serde::{Deserialize, Serialize};

/// The name of the host that programs see, whatever the machine is called.
const HOST_NAME: &str = "sandbox";

/// One run, as the launcher reads it from its stdin.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// Path by which the program is called; also its `argv[0]`.
    pub program: PathBuf,
    /// `program` without symbolic links: where `image` is mounted.
    pub mount_at: PathBuf,
    /// The file that the program's path shows for this run.
    pub image: PathBuf,
    /// Arguments after `argv[0]`.
    pub args: Vec<String>,
    /// Wall-clock seconds after which the run is stopped.
    pub time_limit: f64,
}

/// What the launcher writes to its stdin's socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// How the run ended.
    Ended(End),
    /// The sandbox could not be built: says nothing about the program.
    NoSandbox(String),
}
