//! The rim to ptrace(2): one stopped process, its registers and memory, calls made in its name.

use std::io::{IoSlice, IoSliceMut};
use std::ops::Range;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use statify_elf::machine::{Machine, Registers};
use statify_elf::word_mask;

use crate::{kill, registers};

/// As many places may be read by one call (IOV_MAX).
const MOST_PLACES: usize = 1024;

/// A traced child. It is killed and reaped when this goes.
pub struct Tracee {
    pid: Pid,
    pidfd: Option<OwnedFd>,
    alive: bool,
}

/// Why a traced child is not running.
#[derive(Debug)]
pub enum Stop {
    /// About to make a system call that the filter wants seen.
    Call(Box<Registers>),
    /// A signal is about to be delivered.
    Signal(Signal),
    /// It executed a breakpoint or a single step.
    Trap,
    /// One of the PTRACE_EVENT_* that are never wanted.
    Event(i32),
    /// It is gone.
    Exited(i32),
    /// It is gone.
    Killed(Signal),
}

impl Tracee {
    /// A child that has called PTRACE_TRACEME; this thread is its parent.
    pub fn new(pid: Pid, pidfd: Option<OwnedFd>) -> Self {
        Self { pid, pidfd, alive: true }
    }

    /// Somebody else has seen it end.
    pub fn gone(&mut self) {
        self.alive = false;
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The handle by which it can be killed from elsewhere.
    pub fn pidfd(&self) -> Option<&OwnedFd> {
        self.pidfd.as_ref()
    }

    /// Waits until it stops or ends.
    pub fn wait(&mut self) -> nix::Result<Stop> {
        loop {
            let status = match waitpid(self.pid, Some(WaitPidFlag::__WALL)) {
                Err(Errno::EINTR) => continue,
                other => other?,
            };
            return Ok(match status {
                WaitStatus::Exited(_, code) => {
                    self.alive = false;
                    Stop::Exited(code)
                }
                WaitStatus::Signaled(_, signal, _) => {
                    self.alive = false;
                    Stop::Killed(signal)
                }
                WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_SECCOMP) => {
                    Stop::Call(Box::new(self.registers()?))
                }
                WaitStatus::PtraceEvent(_, _, event) => Stop::Event(event),
                WaitStatus::Stopped(_, Signal::SIGTRAP) => Stop::Trap,
                WaitStatus::Stopped(_, signal) => Stop::Signal(signal),
                _ => continue,
            });
        }
    }

    /// Sets what is reported, and that it dies with the tracer.
    pub fn set_options(&self) -> nix::Result<()> {
        use ptrace::Options;
        let options = Options::PTRACE_O_EXITKILL
            | Options::PTRACE_O_TRACESECCOMP
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK;
        ptrace::setoptions(self.pid, options)
    }

    /// Lets it run, with a signal if one is given.
    pub fn resume(&self, signal: Option<Signal>) -> nix::Result<()> {
        ptrace::cont(self.pid, signal)
    }

    /// Executes one instruction.
    pub fn step(&mut self) -> nix::Result<Stop> {
        ptrace::step(self.pid, None)?;
        self.wait()
    }

    /// Its registers.
    pub fn registers(&self) -> nix::Result<Registers> {
        ptrace::getregs(self.pid).map(Registers::from)
    }

    /// Sets its registers.
    pub fn set_registers(&self, regs: &Registers) -> nix::Result<()> {
        ptrace::setregs(self.pid, (*regs).into())?;
        regs.other_call().map_or(Ok(()), |number| registers::set_call(self.pid, number))
    }

    /// Where the thread's own memory is, if a register says so that the process writes by itself.
    pub fn thread_pointer(&self) -> nix::Result<Option<u64>> {
        registers::thread_pointer(self.pid)
    }

    /// Reads memory; fails unless all of it can be read.
    pub fn read(&self, address: u64, to: &mut [u8]) -> nix::Result<()> {
        let len = to.len();
        let remote = [RemoteIoVec { base: address as usize, len }];
        let got = process_vm_readv(self.pid, &mut [IoSliceMut::new(to)], &remote)?;
        if got == len { Ok(()) } else { Err(Errno::EFAULT) }
    }

    /// Reads memory of many places into one buffer, which is as long as they are together.
    pub fn read_all(&self, from: &[Range<u64>], mut to: &mut [u8]) -> nix::Result<()> {
        for some in from.chunks(MOST_PLACES) {
            let remote = |range: &Range<u64>| RemoteIoVec {
                base: range.start as usize,
                len: (range.end - range.start) as usize,
            };
            let mut remote: Vec<RemoteIoVec> = some.iter().map(remote).collect();
            let mut len = remote.iter().map(|place| place.len).sum();
            // One call transfers less than 2 GiB.
            while len > 0 {
                let got =
                    process_vm_readv(self.pid, &mut [IoSliceMut::new(&mut to[..len])], &remote)?;
                if got == 0 {
                    return Err(Errno::EFAULT);
                }
                (len, to) = (len - got, &mut to[got..]);
                advance(&mut remote, got);
            }
        }
        Ok(())
    }

    /// A word of memory, of so many bytes: 8 at most.
    pub fn read_word(&self, address: u64, size: u64) -> nix::Result<u64> {
        let mut word = [0; 8];
        self.read(address, &mut word[..size as usize])?;
        Ok(u64::from_le_bytes(word))
    }

    /// Writes memory that the process itself may write.
    pub fn write(&self, address: u64, bytes: &[u8]) -> nix::Result<()> {
        let remote = [RemoteIoVec { base: address as usize, len: bytes.len() }];
        let put = process_vm_writev(self.pid, &[IoSlice::new(bytes)], &remote)?;
        if put == bytes.len() { Ok(()) } else { Err(Errno::EFAULT) }
    }

    /// Puts a breakpoint at `address`; returns the word it went into, for [`Self::poke`].
    pub fn set_breakpoint(&self, address: u64) -> nix::Result<i64> {
        let word = self.peek(address)?;
        let mut bytes = word.to_le_bytes();
        let breakpoint = Machine::HOST.breakpoint();
        bytes[..breakpoint.len()].copy_from_slice(breakpoint);
        self.poke(address, i64::from_le_bytes(bytes))?;
        Ok(word)
    }

    /// Reads a word even where the process itself may not.
    pub fn peek(&self, address: u64) -> nix::Result<i64> {
        ptrace::read(self.pid, address as ptrace::AddressType)
    }

    /// Writes a word even where the process itself may not.
    pub fn poke(&self, address: u64, word: i64) -> nix::Result<()> {
        ptrace::write(self.pid, address as ptrace::AddressType, word)
    }

    /// Writes a word of so many bytes, 8 at most, even where the process itself may not.
    pub fn poke_word(&self, address: u64, word: u64, size: u64) -> nix::Result<()> {
        let others = !word_mask(size);
        let there = if others == 0 { 0 } else { self.peek(address)? as u64 };
        self.poke(address, (there & others | word & !others) as i64)
    }

    /// Makes a system call in the stopped process, with the instruction for it at `at`. The
    /// registers are as before afterwards.
    pub fn call(&mut self, at: u64, number: i64, args: [u64; 6]) -> nix::Result<i64> {
        let saved = self.registers()?;
        let mut regs = saved;
        regs.prepare_call(at, number, args);
        self.set_registers(&regs)?;
        loop {
            match self.step()? {
                Stop::Trap => break,
                // The filter stops calls made so as well.
                Stop::Call(_) => continue,
                Stop::Signal(_) => continue,
                Stop::Event(_) | Stop::Exited(_) | Stop::Killed(_) => return Err(Errno::ESRCH),
            }
        }
        let result = self.registers()?.result() as i64;
        self.set_registers(&saved)?;
        Ok(result)
    }
}

/// Leaves out the first `bytes` bytes.
fn advance(places: &mut Vec<RemoteIoVec>, mut bytes: usize) {
    let whole = places.iter().take_while(|place| {
        let is_whole = place.len <= bytes;
        bytes -= if is_whole { place.len } else { 0 };
        is_whole
    });
    let whole = whole.count();
    places.drain(..whole);
    if let Some(first) = places.first_mut() {
        first.base += bytes;
        first.len -= bytes;
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        if self.alive {
            kill(self.pid, self.pidfd.as_ref());
            while self.alive {
                if self.wait().is_err() {
                    break;
                }
            }
        }
    }
}
