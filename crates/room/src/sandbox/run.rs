//! Makes std's `Command` run its program in the room.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::unistd::{ForkResult, Pid};

use super::memory::Meter;
use super::{Entrance, Forked, Sandbox};

/// A user and group id that owns nothing.
const NOBODY: libc::uid_t = 65534;
/// How long other processes inside may outlive the program, so that what they still print is seen.
const GRACE: Duration = Duration::from_millis(300);
/// With this status process 1 ends when the time is up.
const TIME_IS_UP: i32 = 3;
/// With this one when all have more memory than they may.
const MEMORY_IS_GONE: i32 = 4;
/// How often it asks for that: what can be had meanwhile is some 100 MiB.
const METERED: Duration = Duration::from_millis(20);
const UNMETERED: Duration = Duration::from_secs(3600);

/// What the processes inside tell, in this order.
const ENTERED: u8 = b'e';
const ENDED: u8 = b's';
const STOPPED: u8 = b't';

/// How far a command has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// There is no room for it, for the reason with which its start failed.
    NoRoom,
    /// It was in the room. If its start failed, the kernel refused to execute the program; else
    /// process 1 was killed.
    Entered,
    /// The program ended.
    Ended(ExitStatus),
    /// It was stopped when its time was up.
    Stopped,
}

/// Tells how far a command has come, which its exit status alone does not. Nobody need ask it.
#[derive(Debug)]
pub struct Teller(UnixStream);

impl Teller {
    /// After its start failed, or after its end.
    pub fn course(&self) -> Course {
        let mut told = [0; 16];
        let len = nix::unistd::read(&self.0, &mut told).unwrap_or(0);
        match told[..len] {
            [] => Course::NoRoom,
            [.., STOPPED] => Course::Stopped,
            [.., ENDED, a, b, c, d] => {
                Course::Ended(ExitStatus::from_raw(i32::from_le_bytes([a, b, c, d])))
            }
            _ => Course::Entered,
        }
    }
}

/// The program of `command`, a path inside, will run in `sandbox`; as nobody where this process is
/// root's. Nothing of it is left when the command has ended. To be started once.
pub fn run_inside(command: &mut Command, sandbox: Sandbox) -> io::Result<Teller> {
    let (told, teller) = UnixStream::pair()?;
    told.set_nonblocking(true)?;
    // SAFETY: every process that comes out of it makes system calls only.
    unsafe { command.pre_exec(move || Ok(become_program(&sandbox, teller.as_fd())?)) };
    Ok(Teller(told))
}

/// Three processes: the command's own, which waits outside; process 1 inside, with which all others
/// end, and to which signals do not do what they do to others; and the program. Returns in the
/// program's only.
fn become_program(sandbox: &Sandbox, teller: BorrowedFd<'_>) -> Result<(), Errno> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    if sandbox.is_orphan() {
        return Err(Errno::ESRCH);
    }
    // Of 1, not 0: a core_pattern that is a pipe ignores 0 and takes 1 for "none" (core(5)).
    let (_, most) = getrlimit(Resource::RLIMIT_CORE)?;
    setrlimit(Resource::RLIMIT_CORE, most.min(1), most.min(1))?;
    let (report, reporter) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    // SAFETY: the child makes system calls only.
    match unsafe { sandbox.fork()? } {
        Forked::Parent(first) => {
            drop(reporter);
            wait_outside(first, report, teller)
        }
        Forked::Child(entrance) => {
            drop(report);
            supervise(&entrance, reporter, teller)
        }
    }
}

/// Unlike write(2), not ended by a signal where nobody listens any more.
fn tell(teller: BorrowedFd<'_>, what: &[u8]) {
    let (fd, flags) = (teller.as_raw_fd(), libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT);
    // SAFETY: bytes and their number.
    unsafe { libc::send(fd, what.as_ptr().cast(), what.len(), flags) };
}

/// Ends as the program did.
fn wait_outside(first: Pid, report: OwnedFd, teller: BorrowedFd<'_>) -> ! {
    close_all_but([report.as_fd(), teller]);
    let mut status = [0; 4];
    let told = nix::unistd::read(&report, &mut status) == Ok(4);
    let mut end = 0;
    // SAFETY: one number, of this frame.
    while unsafe { libc::waitpid(first.as_raw(), &mut end, 0) } < 0 && Errno::last() == Errno::EINTR
    {
    }
    if told {
        let [a, b, c, d] = status;
        tell(teller, &[ENDED, a, b, c, d]);
    } else if libc::WIFEXITED(end) && libc::WEXITSTATUS(end) == TIME_IS_UP {
        tell(teller, &[STOPPED]);
    }
    let status = i32::from_le_bytes(status);
    if told && libc::WIFSIGNALED(status) {
        // SAFETY: restores what the kernel does by itself, and ends this process.
        unsafe {
            libc::signal(libc::WTERMSIG(status), libc::SIG_DFL);
            libc::raise(libc::WTERMSIG(status));
        }
    }
    let code = if told { libc::WEXITSTATUS(status) } else { 1 };
    // SAFETY: ends the process without running anything of this program's.
    unsafe { libc::_exit(code) }
}

fn supervise(
    entrance: &Entrance<'_>,
    reporter: OwnedFd,
    teller: BorrowedFd<'_>,
) -> Result<(), Errno> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    if nobody_reads(reporter.as_fd()) {
        return Err(Errno::ESRCH);
    }
    let meter = entrance.enter()?;
    // Away from a terminal; and a signal to the process group, which namespaces do not confine,
    // reaches none outside.
    nix::unistd::setsid()?;
    // Waited for, not delivered.
    let deaths = SigSet::from(Signal::SIGCHLD);
    let before = deaths.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    // SAFETY: the child makes system calls only.
    let program = match unsafe { nix::unistd::fork()? } {
        ForkResult::Child => {
            drop(reporter);
            before.thread_set_mask()?;
            give_up_rights(entrance)?;
            tell(teller, &[ENTERED]);
            return Ok(());
        }
        ForkResult::Parent { child } => child,
    };
    let processes = meter.as_ref().map_or(teller, Meter::as_fd);
    close_all_but([reporter.as_fd(), teller, processes]);
    if let Some(time) = entrance.sandbox.limits.as_ref().and_then(|limits| limits.time) {
        end_after(time);
    }
    loop {
        while let Some((pid, status)) = next_death() {
            if pid == program.as_raw() {
                let _ = nix::unistd::write(&reporter, &status.to_le_bytes());
                end_after(GRACE);
            }
        }
        if meter.as_ref().is_some_and(Meter::is_exceeded) {
            // SAFETY: as above; as if the kernel had killed it, which it does when there is none left.
            unsafe { libc::_exit(MEMORY_IS_GONE) }
        }
        wait_for(&deaths, if meter.is_some() { METERED } else { UNMETERED });
    }
}

/// A process that has ended, and how; the end of this one, and with it all others inside, when there are none left.
fn next_death() -> Option<(libc::pid_t, i32)> {
    let mut status = 0;
    // SAFETY: one number, of this frame.
    let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG | libc::__WALL) };
    if pid < 0 && Errno::last() == Errno::ECHILD {
        // SAFETY: ends this process.
        unsafe { libc::_exit(0) }
    }
    (pid > 0).then_some((pid, status))
}

/// Until one of these signals comes, or so long.
fn wait_for(signals: &SigSet, most: Duration) {
    let time = libc::timespec {
        tv_sec: most.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(most.subsec_nanos()),
    };
    // SAFETY: a set and a time that stay.
    unsafe { libc::sigtimedwait(signals.as_ref(), std::ptr::null_mut(), &time) };
}

/// Ends this process, and with it all others inside, when this time is up.
fn end_after(time: Duration) {
    extern "C" fn end(_: i32) {
        // SAFETY: may be called in a signal's handler (signal-safety(7)).
        unsafe { libc::_exit(TIME_IS_UP) }
    }
    let handler: extern "C" fn(i32) = end;
    let value = libc::timeval {
        tv_sec: time.as_secs() as libc::time_t,
        // A timer of nothing would be none.
        tv_usec: libc::suseconds_t::from(time.subsec_micros().max(1)),
    };
    let timer =
        libc::itimerval { it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 }, it_value: value };
    // SAFETY: a handler that ends the process, a set of this frame, a timer of this frame.
    unsafe {
        libc::signal(libc::SIGALRM, handler as libc::sighandler_t);
        let mut alarm = std::mem::zeroed();
        libc::sigemptyset(&mut alarm);
        libc::sigaddset(&mut alarm, libc::SIGALRM);
        libc::sigprocmask(libc::SIG_UNBLOCK, &alarm, std::ptr::null_mut());
        libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut());
    }
}

fn give_up_rights(entrance: &Entrance<'_>) -> Result<(), Errno> {
    close_on_execution();
    if !entrance.in_user_namespace() {
        // SAFETY: an empty list, and numbers.
        unsafe {
            Errno::result(libc::setgroups(0, std::ptr::null()))?;
            Errno::result(libc::setresgid(NOBODY, NOBODY, NOBODY))?;
            Errno::result(libc::setresuid(NOBODY, NOBODY, NOBODY))?;
        }
    }
    nix::sys::prctl::set_no_new_privs()?;
    // Who is root in a user namespace would keep what it has there over an execve(2).
    let (version_3, this, none) = (0x2008_0522_u32, 0_u32, [0_u32; 6]);
    let header = [version_3, this];
    // SAFETY: header and sets as capset(2) wants them.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) })?;
    match &entrance.sandbox.limits {
        Some(limits) => limits.apply(),
        None => Ok(()),
    }
}

/// Whether the process that would read what is written here has ended.
fn nobody_reads(pipe: BorrowedFd<'_>) -> bool {
    let mut poll = libc::pollfd { fd: pipe.as_raw_fd(), events: 0, revents: 0 };
    // SAFETY: one structure, of this frame.
    unsafe { libc::poll(&mut poll, 1, 0) > 0 && poll.revents & libc::POLLERR != 0 }
}

/// What this process was given that is not closed by execve(2) is not for the program.
fn close_on_execution() {
    let flag = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: sets a flag of descriptors.
    let set = unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, flag) };
    if set != 0 {
        for fd in 3..4096 {
            // SAFETY: as above.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

/// Closes what the caller of the command, or the program inside, waits for the end of.
fn close_all_but<const N: usize>(kept: [BorrowedFd<'_>; N]) {
    let close = |first: i32, last: u32| {
        // SAFETY: closes descriptors that this process uses no more.
        let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        if closed != 0 {
            for fd in first..last.min(4096) as i32 {
                // SAFETY: as above.
                unsafe { libc::close(fd) };
            }
        }
    };
    let mut kept = kept.map(|fd| fd.as_raw_fd());
    kept.sort_unstable();
    let mut first = 0;
    for kept in kept {
        if kept > first {
            close(first, kept as u32 - 1);
        }
        first = first.max(kept + 1);
    }
    close(first, u32::MAX);
}
