//! The launcher: a process of its own for each run, which enters the namespaces and starts process 1.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, dup2_stdin, fork, sethostname};

use super::{HOST_NAME, Order, Reply, init, root};

/// Reads an [`Order`] from the socket that is stdin, carries it out, and writes a [`Reply`] back.
///
/// stdout and stderr are the program's.
pub fn launch() -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    let mut socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    dup2_stdin(std::fs::File::open("/dev/null")?)?;
    let mut order = String::new();
    socket.read_to_string(&mut order).context("read the order")?;
    let order: Order = serde_json::from_str(&order).context("parse the order")?;
    if let Err(error) = enter(&order, &socket) {
        reply(&socket, &Reply::NoSandbox(format!("{error:#}")))?;
    }
    Ok(())
}

fn enter(order: &Order, socket: &UnixStream) -> Result<()> {
    let namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWNET;
    unshare(namespaces).context("create the namespaces")?;
    sethostname(HOST_NAME).context("set the host name")?;
    root::enter(&order.image, &order.mount_at)?;
    // SAFETY: this process has a single thread, so the child may call anything.
    match unsafe { fork() }.context("fork process 1")? {
        ForkResult::Parent { child } => {
            waitpid(child, None).context("wait for process 1")?;
        }
        ForkResult::Child => {
            let ended = match init::supervise(order) {
                Ok(end) => Reply::Ended(end),
                Err(error) => Reply::NoSandbox(format!("{error:#}")),
            };
            let sent = reply(socket, &ended);
            // Ends the namespace, and with it whatever the program left running.
            std::process::exit(i32::from(sent.is_err()));
        }
    }
    Ok(())
}

fn reply(mut socket: &UnixStream, reply: &Reply) -> Result<()> {
    socket.write_all(&serde_json::to_vec(reply)?).context("report the end")?;
    socket.shutdown(Shutdown::Write).context("report the end")
}
