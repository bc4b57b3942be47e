//! bpf(2), as far as it takes to read the kernel's memory: programs that run when they are asked to (BPF_PROG_TYPE_SYSCALL, since
//! Linux 5.14), and arrays that they share with this process (BPF_F_MMAPABLE, since 5.5). What the numbers mean is in
//! include/uapi/linux/bpf.h, how instructions are made up in Documentation/bpf/standardization/instruction-set.rst.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags};

use super::lack::Lack;

const MAP_CREATE: libc::c_int = 0;
const PROG_LOAD: libc::c_int = 5;
const PROG_TEST_RUN: libc::c_int = 10;
const MAP_TYPE_ARRAY: u32 = 2;
const MAP_IS_MMAPABLE: u32 = 1 << 10;
const PROG_TYPE_SYSCALL: u32 = 31;
/// Programs of that type have to say that they may sleep.
const PROG_MAY_SLEEP: u32 = 1 << 4;
/// Calls of the kernel are given to programs under its licence only.
const LICENSE: &[u8] = b"GPL\0";

/// An instruction.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// Registers: what a program is given is in `R1`, as are what calls are given in `R1` to `R5` (which they change) and what they
/// return in `R0`; `R6` to `R9` stay.
#[derive(Clone, Copy)]
pub(super) enum Register {
    R0 = 0,
    R1 = 1,
    R2 = 2,
    R3 = 3,
    R6 = 6,
    R7 = 7,
    R8 = 8,
    R9 = 9,
}

/// What programs may call (bpf-helpers(7)).
#[derive(Clone, Copy)]
pub(super) enum Call {
    CurrentTask = 35,
    ProbeReadKernel = 113,
}

impl Instruction {
    fn new(code: u8, to: Register, from: Register, offset: i16, immediate: i32) -> Self {
        Self { code, registers: to as u8 | (from as u8) << 4, offset, immediate }
    }

    /// to = from
    pub fn copy(to: Register, from: Register) -> Self {
        Self::new(0xbf, to, from, 0, 0)
    }

    /// to = number
    pub fn set(to: Register, number: i32) -> Self {
        Self::new(0xb7, to, Register::R0, 0, number)
    }

    /// to += from
    pub fn add(to: Register, from: Register) -> Self {
        Self::new(0x0f, to, from, 0, 0)
    }

    /// to += number
    pub fn add_number(to: Register, number: i32) -> Self {
        Self::new(0x07, to, Register::R0, 0, number)
    }

    /// to *= number
    pub fn multiply(to: Register, number: i32) -> Self {
        Self::new(0x27, to, Register::R0, 0, number)
    }

    /// to = the 64-bit word at from + offset
    pub fn load(to: Register, from: Register, offset: i16) -> Self {
        Self::new(0x79, to, from, offset, 0)
    }

    /// The 64-bit word at to + offset = from
    pub fn store(to: Register, offset: i16, from: Register) -> Self {
        Self::new(0x7b, to, from, offset, 0)
    }

    /// Goes on `skip` instructions behind the next one; back if that is negative.
    pub fn jump(skip: i16) -> Self {
        Self::new(0x05, Register::R0, Register::R0, skip, 0)
    }

    /// The same if a > number.
    pub fn jump_if_above(a: Register, number: i32, skip: i16) -> Self {
        Self::new(0x25, a, Register::R0, skip, number)
    }

    /// The same if a >= number.
    pub fn jump_if_at_least(a: Register, number: i32, skip: i16) -> Self {
        Self::new(0x35, a, Register::R0, skip, number)
    }

    /// The same if a >= b.
    pub fn jump_if_not_below(a: Register, b: Register, skip: i16) -> Self {
        Self::new(0x3d, a, b, skip, 0)
    }

    /// Calls the kernel.
    pub fn call(what: Call) -> Self {
        Self::new(0x85, Register::R0, Register::R0, 0, what as i32)
    }

    /// Ends the program.
    pub fn exit() -> Self {
        Self::new(0x95, Register::R0, Register::R0, 0, 0)
    }

    /// to = where an array begins. Takes the room of two.
    pub fn array(to: Register, array: &Array) -> [Self; 2] {
        // The value of a map's only element: BPF_PSEUDO_MAP_VALUE.
        const VALUE: u8 = 2;
        let code = 0x18;
        let registers = to as u8 | VALUE << 4;
        let fd = array.fd.as_raw_fd();
        [
            Self { code, registers, offset: 0, immediate: fd },
            Self { code: 0, registers: 0, offset: 0, immediate: 0 },
        ]
    }
}

/// The kernel's answer to a command.
fn command<A>(number: libc::c_int, attributes: &mut A) -> io::Result<libc::c_int> {
    // SAFETY: the attributes are as large as is said, and pointers in them are to what lives until the call has returned; callers
    // see to that.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, number, &raw mut *attributes, size_of::<A>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as libc::c_int) }
}

/// What a command returned as a descriptor.
fn descriptor(number: libc::c_int) -> OwnedFd {
    // SAFETY: the kernel has just made it for nobody else.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// A program that the kernel has found harmless.
pub(super) struct Program(OwnedFd);

impl Program {
    /// Gives it to the kernel.
    pub fn load(instructions: &[Instruction]) -> Result<Self, Lack> {
        #[repr(C)]
        struct Attributes {
            kind: u32,
            instruction_count: u32,
            instructions: u64,
            license: u64,
            log_level: u32,
            log_size: u32,
            log: u64,
            kernel_version: u32,
            flags: u32,
        }
        let mut attributes = Attributes {
            kind: PROG_TYPE_SYSCALL,
            instruction_count: instructions.len() as u32,
            instructions: instructions.as_ptr() as u64,
            license: LICENSE.as_ptr() as u64,
            log_level: 0,
            log_size: 0,
            log: 0,
            kernel_version: 0,
            flags: PROG_MAY_SLEEP,
        };
        match command(PROG_LOAD, &mut attributes) {
            Ok(fd) => Ok(Self(descriptor(fd))),
            Err(error) => Err(why(error)),
        }
    }

    /// Runs it. It reads and changes what is in `context`.
    pub fn run<const N: usize>(&self, context: &mut [u64; N]) -> io::Result<()> {
        #[repr(C)]
        struct Attributes {
            program: u32,
            returned: u32,
            data_in_size: u32,
            data_out_size: u32,
            data_in: u64,
            data_out: u64,
            repeat: u32,
            duration: u32,
            context_in_size: u32,
            context_out_size: u32,
            context_in: u64,
            context_out: u64,
        }
        // For this type of program the kernel puts the context back to where it came from.
        let mut attributes = Attributes {
            program: self.0.as_raw_fd() as u32,
            returned: 0,
            data_in_size: 0,
            data_out_size: 0,
            data_in: 0,
            data_out: 0,
            repeat: 0,
            duration: 0,
            context_in_size: size_of_val(context) as u32,
            context_out_size: 0,
            context_in: context.as_mut_ptr() as u64,
            context_out: 0,
        };
        command(PROG_TEST_RUN, &mut attributes).map(drop)
    }
}

/// What a refusal means.
fn why(error: io::Error) -> Lack {
    let is_locked = fs::read_to_string("/sys/kernel/security/lockdown")
        .is_ok_and(|state| state.contains("[confidentiality]"));
    match error.raw_os_error() {
        _ if is_locked => Lack::Lockdown,
        Some(libc::EPERM | libc::EACCES) => Lack::Rights(error),
        _ => Lack::Bpf(error),
    }
}

/// An array that programs and this process share.
pub(super) struct Array {
    fd: OwnedFd,
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory is this object's alone, and no thread's in particular.
unsafe impl Send for Array {}

impl Array {
    /// Makes one of so many bytes, all zero.
    pub fn new(len: usize) -> Result<Self, Lack> {
        #[repr(C)]
        struct Attributes {
            kind: u32,
            key_size: u32,
            value_size: u32,
            most_entries: u32,
            flags: u32,
        }
        let mut attributes = Attributes {
            kind: MAP_TYPE_ARRAY,
            key_size: 4,
            value_size: len as u32,
            most_entries: 1,
            flags: MAP_IS_MMAPABLE,
        };
        let fd = descriptor(command(MAP_CREATE, &mut attributes).map_err(why)?);
        Self::map(fd, len).map_err(Lack::Bpf)
    }

    fn map(fd: OwnedFd, len: usize) -> io::Result<Self> {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        let borrowed: BorrowedFd<'_> = std::os::fd::AsFd::as_fd(&fd);
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let start =
            unsafe { rustix::mm::mmap(std::ptr::null_mut(), len, prot, flags, borrowed, 0)? };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { fd, start, len })
    }

    /// What is in it. Nothing but programs that this process runs change it.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: as long is the mapping, and it lives as long as this. A program that changes it is run with a mutable borrow
        // of whoever owns this.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// The same, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Array {
    fn drop(&mut self) {
        // SAFETY: it was mapped by `map`, and nothing borrows it any more. Where that fails it stays mapped, which harms nobody.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
