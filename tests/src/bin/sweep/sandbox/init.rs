//! Process 1 of the sandbox: starts the program, reaps, and decides when to stop.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, dup2_stderr, dup2_stdout, setsid};
use rootfs_tools::check::outcome::End;
use statify_room::sandbox::ENVIRONMENT;

use super::activity::Activity;
use super::{Order, limits, root};

/// User and group `nobody` (`nogroup`); the number is the kernel's own overflow id.
const NOBODY: u32 = 65534;

/// How long a program may do nothing at all before it counts as waiting for good.
const IDLE: Duration = Duration::from_millis(600);

/// How long children may outlive the program, so that what they still print is seen.
const GRACE: Duration = Duration::from_millis(300);

const TICK: Duration = Duration::from_millis(100);

/// Runs the program to its end or until it has to be stopped.
pub fn supervise(order: &Order) -> Result<End> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    root::make_read_only()?;
    setsid().context("leave the terminal")?;
    prctl::set_no_new_privs()?;
    limits::apply(order.time_limit)?;

    // A handler, unlike a blocked signal, is not inherited by the program.
    let (deaths, handler) = UnixStream::pair()?;
    deaths.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(Signal::SIGCHLD as i32, handler)?;

    let program = match command(order).spawn() {
        Ok(child) => Pid::from_raw(child.id() as i32),
        Err(error) => return Ok(End::NotExecuted(error.to_string())),
    };
    let null = std::fs::File::options().write(true).open("/dev/null")?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    watch(program, Duration::from_secs_f64(order.time_limit), &deaths)
}

fn command(order: &Order) -> Command {
    let mut command = Command::new(&order.program);
    command
        .args(&order.args)
        .current_dir("/tmp")
        .env_clear()
        .envs(ENVIRONMENT)
        .uid(NOBODY)
        .gid(NOBODY)
        .process_group(0);
    command
}

fn watch(program: Pid, limit: Duration, mut deaths: &UnixStream) -> Result<End> {
    let start = Instant::now();
    let mut active = start;
    let mut activity = Activity::default();
    let mut end = None;
    let mut ended = start;
    loop {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => break,
                Ok(status) if status.pid() == Some(program) => {
                    end = Some(describe(status));
                    ended = Instant::now();
                }
                Ok(_) => {}
                Err(_) => return Ok(end.unwrap_or(End::Stopped)),
            }
        }
        let now = Instant::now();
        match &end {
            Some(end) if now - ended >= GRACE => return Ok(end.clone()),
            None if now - start >= limit || now - active >= IDLE => return Ok(End::Stopped),
            _ => {}
        }
        let timeout = PollTimeout::try_from(TICK)?;
        let mut waiting = [PollFd::new(deaths.as_fd(), PollFlags::POLLIN)];
        let quiet = match poll(&mut waiting, timeout) {
            Ok(ready) => ready == 0,
            Err(Errno::EINTR) => false,
            Err(error) => return Err(error).context("wait for the program"),
        };
        while deaths.read(&mut [0; 64]).is_ok() {}
        let current = Activity::read();
        if !quiet || current != activity || current.busy {
            active = Instant::now();
            activity = current;
        }
    }
}

fn describe(status: WaitStatus) -> End {
    match status {
        WaitStatus::Exited(_, status) => End::Exit(status),
        WaitStatus::Signaled(_, signal, _) => End::Signal(signal.to_string()),
        _ => End::Stopped,
    }
}
