//! Starts the program under ptrace, stopped at its first instruction, in an environment that is
//! the same on every machine.

use std::ffi::{CString, NulError};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use seccompiler::BpfProgram;
use statify_process::spawn;
use statify_process::{Stop, Tracee};
use statify_room::sandbox::Entrance;

use super::variation::Variation;
use super::{Subject, filter};

/// The loader's word for "bind everything now", and a name as long that it does not know.
const BIND_NOW: (&str, &str) = ("LD_BIND_NOW", "LD_BIND_NO_");
/// A variable that nobody reads.
const PADDING: &str = "STATIFY_PADDING";

/// The child's exit status if it could not become what it should; the errno is in the pipe.
const NOT_TRACED: i32 = 255;
/// The same for the room of another root.
const NOT_ISOLATED: i32 = 254;

/// What went wrong before the program's first instruction.
#[derive(Debug)]
pub enum LaunchError {
    /// clone, ptrace or seccomp is refused.
    Trace(io::Error),
    /// exec is refused.
    Exec(io::Error),
    /// The room of another root cannot be made.
    Sandbox(io::Error),
}

/// A program at its first instruction.
pub struct Launched {
    /// The process.
    pub tracee: Tracee,
    /// Where its messages go.
    stderr: File,
}

impl Launched {
    /// What the process has said so far. It must be gone.
    pub fn messages(mut self) -> String {
        drop(self.tracee);
        let mut text = Vec::new();
        let _ = self.stderr.by_ref().take(1 << 16).read_to_end(&mut text);
        String::from_utf8_lossy(&text).trim().to_owned()
    }
}

/// Executes the program in a new process, in its room if it has one; `more` are further variables of its
/// environment.
pub fn launch(
    subject: &Subject,
    variation: &Variation,
    more: &[Vec<u8>],
) -> Result<Launched, LaunchError> {
    let child = Child::prepare(subject, variation, more).map_err(LaunchError::Exec)?;
    let (stderr, write_end) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)
        .map_err(|errno| LaunchError::Trace(errno.into()))?;
    // Nobody reads before the process is gone: what does not fit is lost.
    let flags = nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK);
    nix::fcntl::fcntl(&write_end, flags).map_err(|errno| LaunchError::Trace(errno.into()))?;
    let stderr_end = write_end.as_fd();
    let pid = match subject.sandbox.as_deref() {
        // SAFETY: the child makes system calls only, on memory that was allocated before.
        Some(sandbox) => unsafe {
            sandbox.spawn(&mut |entrance| child.become_program(stderr_end, Some(entrance)))
        }
        .map_err(|errno| LaunchError::Sandbox(errno.into()))?,
        // SAFETY: as above.
        None => unsafe { spawn(0, &mut || child.become_program(stderr_end, None)) }
            .map_err(|errno| LaunchError::Trace(errno.into()))?,
    };
    drop(write_end);
    let mut launched = Launched { tracee: Tracee::new(pid, pidfd(pid)), stderr: stderr.into() };
    let refused = |errno: Errno| LaunchError::Trace(errno.into());
    match launched.tracee.wait().map_err(refused)? {
        Stop::Trap => {}
        Stop::Exited(status @ (NOT_TRACED | NOT_ISOLATED)) => {
            let mut errno = [0; 4];
            let read = launched.stderr.read_exact(&mut errno);
            let errno = read.map_or(libc::EPERM, |()| i32::from_le_bytes(errno));
            let error = io::Error::from_raw_os_error(errno);
            return Err(match status {
                NOT_ISOLATED => LaunchError::Sandbox(error),
                _ => LaunchError::Trace(error),
            });
        }
        Stop::Exited(errno) => return Err(LaunchError::Exec(io::Error::from_raw_os_error(errno))),
        Stop::Signal(signal) | Stop::Killed(signal) => {
            let what = format!(
                "the kernel ended it with {signal} before its first instruction; it may want addresses below \
                 vm.mmap_min_addr, or more of them than there are"
            );
            return Err(LaunchError::Exec(io::Error::other(what)));
        }
        stop => return Err(LaunchError::Exec(io::Error::other(format!("{stop:?} at exec")))),
    }
    launched.tracee.set_options().map_err(refused)?;
    Ok(launched)
}

/// Everything that the child needs, allocated before it is made.
struct Child {
    program: CString,
    _strings: (Vec<CString>, Vec<CString>),
    /// Null-terminated, as execve(2) wants them: pointers into `_strings`.
    argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
    filter: BpfProgram,
    null: File,
    parent: Pid,
    memory: Option<u64>,
}

impl Child {
    fn prepare(subject: &Subject, variation: &Variation, more: &[Vec<u8>]) -> io::Result<Self> {
        let text = |bytes: Vec<u8>| CString::new(bytes).map_err(|_: NulError| Errno::EINVAL);
        let program = text(subject.program.as_os_str().as_bytes().to_vec())?;
        let mut arguments = vec![program.clone()];
        arguments.resize(1 + variation.arguments, text(b"x".to_vec())?);
        let bind = if variation.bind_now { BIND_NOW.0 } else { BIND_NOW.1 };
        let padding = "x".repeat(variation.padding);
        let mut environment =
            vec![text(format!("{bind}=1").into())?, text(format!("{PADDING}={padding}").into())?];
        for variable in more {
            environment.push(text(variable.clone())?);
        }
        let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        let pointers = |strings: &[CString]| {
            strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>()
        };
        let (argv, envp) = (pointers(&arguments), pointers(&environment));
        let parent = nix::unistd::getpid();
        let filter = filter::program(subject.machine);
        Ok(Self {
            program,
            _strings: (arguments, environment),
            argv,
            envp,
            filter,
            null,
            parent,
            memory: subject.memory,
        })
    }

    /// In the child. Returns its exit status if it could not become the program.
    fn become_program(&self, stderr: BorrowedFd<'_>, entrance: Option<Entrance<'_>>) -> i32 {
        let traced = || self.become_traced(stderr).map_err(|errno| (NOT_TRACED, errno));
        match self.isolate(entrance).and_then(|()| traced()) {
            Ok(()) => {
                // SAFETY: the strings end with NULs, the arrays with null pointers.
                unsafe {
                    libc::execve(self.program.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr())
                };
                // The filter forbids to write by now. Every errno of execve(2) is below 254.
                Errno::last_raw()
            }
            Err((status, errno)) => {
                let _ = nix::unistd::write(stderr, &(errno as i32).to_le_bytes());
                status
            }
        }
    }

    fn isolate(&self, entrance: Option<Entrance<'_>>) -> Result<(), (i32, Errno)> {
        let not_traced = |errno| (NOT_TRACED, errno);
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(not_traced)?;
        // Died before that: nobody would ever continue this process.
        let orphan = match &entrance {
            Some(entrance) => entrance.is_orphan(),
            None => nix::unistd::getppid() != self.parent,
        };
        if orphan {
            return Err(not_traced(Errno::ESRCH));
        }
        entrance
            .map_or(Ok(()), |entrance| entrance.enter().map(drop))
            .map_err(|errno| (NOT_ISOLATED, errno))
    }

    fn become_traced(&self, stderr: BorrowedFd<'_>) -> Result<(), Errno> {
        setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
        if let Some(bytes) = self.memory {
            setrlimit(Resource::RLIMIT_AS, bytes, bytes)?;
        }
        for (from, to) in
            [(self.null.as_raw_fd(), 0), (self.null.as_raw_fd(), 1), (stderr.as_raw_fd(), 2)]
        {
            // SAFETY: dup2(2) touches no memory; the numbers are the child's own.
            Errno::result(unsafe { libc::dup2(from, to) })?;
        }
        // What this process has inherited is none of the traced code's business. (Linux 5.11.)
        // SAFETY: marks descriptors of this process only.
        unsafe {
            libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC)
        };
        ptrace::traceme()?;
        seccompiler::apply_filter(&self.filter).map_err(|_| Errno::last())
    }
}

fn pidfd(pid: Pid) -> Option<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(pid.as_raw())?;
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
}

/// A second handle to the process, for whoever watches the time.
pub fn duplicate_pidfd(tracee: &Tracee) -> Option<OwnedFd> {
    tracee.pidfd().and_then(|fd| fd.as_fd().try_clone_to_owned().ok())
}

/// Opens a file of the traced process's /proc directory.
pub fn open_proc(pid: Pid, name: &str) -> io::Result<File> {
    File::open(format!("/proc/{pid}/{name}"))
}
