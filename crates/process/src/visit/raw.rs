//! The requests of ptrace(2), and what is heard of a traced thread. Signals are numbers: real-time ones have no name.

use std::mem::MaybeUninit;
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace;
use nix::unistd::Pid;
use statify_elf::machine::Registers;

/// PTRACE_GET_RSEQ_CONFIGURATION (Linux 5.13).
const GET_SEQUENCES: libc::c_uint = 0x420f;
/// PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG (Linux 6.4).
const GET_DISPATCH: libc::c_uint = 0x4211;
/// What PTRACE_O_TRACESYSGOOD adds to SIGTRAP.
const CALL: i32 = libc::SIGTRAP | 0x80;

/// Why a traced thread is not running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It was interrupted, or its process is stopped: it goes nowhere, and no signal is on its way.
    Halt,
    /// It enters or leaves a system call.
    Call,
    /// A signal is about to be delivered.
    Signal(i32),
}

/// How it runs on.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// It stops for signals only.
    Signal,
    /// It stops at the beginning and the end of the next system call as well.
    Call,
}

/// Where a thread tells the kernel of its restartable sequences (rseq(2)).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SequenceArea {
    /// Address; 0 for none.
    pub address: u64,
    size: u32,
    signature: u32,
    flags: u32,
    pad: u32,
}

/// struct ptrace_sud_config.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Dispatch {
    mode: u64,
    selector: u64,
    offset: u64,
    len: u64,
}

/// Signals to this thread wait until it ends; nothing ends the program while it has another's registers in hand.
pub fn hold_signals() {
    let every = nix::sys::signal::SigSet::all();
    // It cannot fail but for arguments that are none.
    let _ = every.thread_block();
}

/// Begins to trace a thread, which notices nothing.
pub fn seize(tid: i32) -> nix::Result<()> {
    let options = libc::PTRACE_O_TRACESYSGOOD as usize;
    // SAFETY: no memory of this process is named.
    unsafe { request(libc::PTRACE_SEIZE, tid, 0, ptr::without_provenance_mut(options)) }
}

/// Has it halt.
pub fn interrupt(tid: i32) -> nix::Result<()> {
    // SAFETY: as above.
    unsafe { request(libc::PTRACE_INTERRUPT, tid, 0, ptr::null_mut()) }
}

/// Lets it run on, with a signal if that is not 0.
pub fn resume(tid: i32, until: Until, signal: i32) -> nix::Result<()> {
    let how = match until {
        Until::Signal => libc::PTRACE_CONT,
        Until::Call => libc::PTRACE_SYSCALL,
    };
    // SAFETY: as above.
    unsafe { request(how, tid, 0, ptr::without_provenance_mut(signal as usize)) }
}

/// Lets it go.
pub fn detach(tid: i32) -> nix::Result<()> {
    // SAFETY: as above.
    unsafe { request(libc::PTRACE_DETACH, tid, 0, ptr::null_mut()) }
}

/// Its registers.
pub fn registers(tid: i32) -> nix::Result<Registers> {
    Ok(ptrace::getregs(Pid::from_raw(tid))?.into())
}

/// Sets its registers.
pub fn set_registers(tid: i32, registers: &Registers) -> nix::Result<()> {
    ptrace::setregs(Pid::from_raw(tid), (*registers).into())
}

/// Where its restartable sequences are told of; `None` if this kernel has none.
pub fn sequence_area(tid: i32) -> Option<SequenceArea> {
    let mut area = SequenceArea::default();
    let size = size_of::<SequenceArea>();
    // SAFETY: the kernel writes at most `size` bytes.
    unsafe { request(GET_SEQUENCES, tid, size, ptr::from_mut(&mut area).cast()).ok()? };
    Some(area)
}

/// Whether its system calls may go to itself.
pub fn is_dispatched(tid: i32) -> bool {
    let mut dispatch = Dispatch::default();
    let size = size_of::<Dispatch>();
    // SAFETY: the kernel writes exactly `size` bytes.
    let known = unsafe { request(GET_DISPATCH, tid, size, ptr::from_mut(&mut dispatch).cast()) };
    known.is_ok() && dispatch.mode != 0
}

/// Whether the signal that is about to be delivered comes from an instruction rather than from a process.
pub fn is_fault(tid: i32) -> bool {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: the kernel fills the structure, for which all zeros are a value.
    unsafe {
        let known = request(libc::PTRACE_GETSIGINFO, tid, 0, info.as_mut_ptr().cast());
        known.is_ok() && info.assume_init().si_code > 0
    }
}

/// Why it stopped, if it has. Its end is not asked for, which is its parent's business.
pub fn stop(tid: i32) -> nix::Result<Option<Stop>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let flags = libc::WSTOPPED | libc::WNOHANG | libc::__WALL;
    // SAFETY: the kernel fills the structure, or leaves its zeros.
    let (pid, status) = unsafe {
        Errno::result(libc::waitid(libc::P_PID, tid as libc::id_t, info.as_mut_ptr(), flags))?;
        let info = info.assume_init();
        (info.si_pid(), info.si_status())
    };
    let stop = match (status & 0xff, status >> 8) {
        (_, libc::PTRACE_EVENT_STOP) => Stop::Halt,
        (CALL, _) => Stop::Call,
        (signal, _) => Stop::Signal(signal),
    };
    Ok((pid != 0).then_some(stop))
}

/// # Safety
/// `data` is what the request says.
unsafe fn request(
    request: libc::c_uint,
    tid: i32,
    address: usize,
    data: *mut libc::c_void,
) -> nix::Result<()> {
    let address = ptr::without_provenance_mut::<libc::c_void>(address);
    // SAFETY: the caller answers for it.
    Errno::result(unsafe { libc::ptrace(request, tid, address, data) }).map(drop)
}
