//! AArch64: entry, system calls, hand-off.
//!
//! Process entry (sysvabi64, "Process Entry"): sp points at argc and is a multiple of 16; x0 is a function for atexit(3), or
//! zero; all else is undefined.
//! Hand-off: what follows the `bl _dl_start` in ld.so's `_start` expects the program's entry point in x0 and argc at sp;
//! nothing else is live there (glibc, sysdeps/aarch64/dl-start.S). musl continues at the program's entry point, where x0 is
//! zero.

#[path = "aarch64/call.rs"]
mod call;
#[path = "aarch64/cpu.rs"]
mod cpu;
#[path = "aarch64/memory.rs"]
mod memory;
#[path = "aarch64/pages.rs"]
mod pages;

use core::arch::{asm, naked_asm};

pub use call::syscall;
pub use cpu::{cpu_features, has_hwcap, protection, resolver, word as cpu_word};
pub use pages::Pages;

use crate::PAGE;
use crate::params::{CALL_SET_THREAD_POINTER, Params};

pub use crate::params::FRONT_GAP;

/// Numbers of the system calls used (include/uapi/asm-generic/unistd.h).
pub mod nr {
    pub const FCNTL: u64 = 25;
    pub const IOCTL: u64 = 29;
    pub const OPENAT: u64 = 56;
    pub const CLOSE: u64 = 57;
    pub const WRITE: u64 = 64;
    pub const PREAD64: u64 = 67;
    pub const READLINKAT: u64 = 78;
    pub const FSTAT: u64 = 80;
    pub const EXIT_GROUP: u64 = 94;
    pub const UNAME: u64 = 160;
    pub const GETRLIMIT: u64 = 163;
    pub const PRCTL: u64 = 167;
    pub const GETTID: u64 = 178;
    pub const BRK: u64 = 214;
    pub const MUNMAP: u64 = 215;
    pub const MREMAP: u64 = 216;
    pub const MMAP: u64 = 222;
    pub const MPROTECT: u64 = 226;
    pub const MADVISE: u64 = 233;
    pub const PRLIMIT64: u64 = 261;
    pub const GETRANDOM: u64 = 278;
    pub const MSEAL: u64 = 462;
}

/// `struct stat` (include/uapi/asm-generic/stat.h): its size, and where st_mode and st_uid (4 bytes), st_rdev and st_size (8
/// bytes) are in it.
pub const STAT_WORDS: usize = 16;
pub const STAT_MODE: usize = 16;
pub const STAT_UID: usize = 24;
pub const STAT_RDEV: usize = 32;
pub const STAT_SIZE: usize = 48;

/// Flags of openat(2) (arch/arm64/include/uapi/asm/fcntl.h, asm-generic/fcntl.h).
pub const O_NOCTTY: u64 = 0o400;
pub const O_NONBLOCK: u64 = 0o4000;
pub const O_DIRECTORY: u64 = 0o40000;
pub const O_NOFOLLOW: u64 = 0o100000;
pub const O_CLOEXEC: u64 = 0o2000000;
pub const O_LARGEFILE: u64 = 0;

/// Whether the executed path lies where a stack ends that is not randomised: at the end of the addresses that a kernel gives
/// without being asked for more (DEFAULT_MAP_WINDOW_64 in arch/arm64/include/asm/processor.h), of 48 bits or of as many as
/// it is built for.
pub fn ends_address_space(path: u64) -> bool {
    const BITS: [u32; 5] = [48, 47, 42, 39, 36];
    BITS.iter().any(|bits| ((1 << bits) - 2 * PAGE..1 << bits).contains(&path))
}

/// How many pages a random address may be away from where it is counted from, less one: 32 bits, of which
/// vm.mmap_rnd_bits is not more than one less than there can be.
pub const RANDOM_PAGES: u64 = (1 << 32) - 1;
/// A mask for the number of pages between two groups of libraries: so far apart each takes one page of
/// the page tables of its own, and no more.
pub const GAP_PAGES: u64 = (1 << 16) - 1;
/// From where random addresses are counted, of 48 bits: 16 TiB each, where the kernel places nothing by itself. It has
/// position-independent files and breaks from 2/3 of the address space on (ELF_ET_DYN_BASE), mappings and the stack near its
/// end.
pub const PROGRAM: u64 = 48 << 40;
pub const LIBRARIES: u64 = 64 << 40;
pub const HEAP: u64 = 0xaaaa_aaaa_8000;

/// Where and with what to continue; returned in x0 and x1.
#[repr(C)]
pub struct Resume {
    entry: u64,
    handoff: u64,
}

impl Resume {
    pub fn new(entry: u64, handoff: u64) -> Self {
        // A program that is entered by itself finds no function for atexit(3).
        Self { entry: if entry == handoff { 0 } else { entry }, handoff }
    }
}

/// The first instruction of every converted program. It is marked as one that branches may lead to, which is nothing where
/// they are not tracked.
#[unsafe(naked)]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.start")]
unsafe extern "C" fn _start() -> ! {
    naked_asm!(
        "hint #36",
        "mov x29, xzr",
        "mov x30, xzr",
        "mov x19, sp",
        "mov x0, sp",
        "adr x1, {entry}",
        "sub x1, x1, #{params}",
        "sub x1, x1, #{gap}, lsl #12",
        "bl {start}",
        "mov sp, x19",
        "mov x16, x1",
        "mov x1, xzr",
        "mov x2, xzr",
        "mov x3, xzr",
        "mov x4, xzr",
        "mov x5, xzr",
        "mov x6, xzr",
        "mov x7, xzr",
        "mov x19, xzr",
        "mov x20, xzr",
        "mov x29, xzr",
        "mov x30, xzr",
        // Not `br`: what the loader's call returns to is no instruction that branches may lead to.
        "ret x16",
        entry = sym _start,
        params = const size_of::<Params>(),
        gap = const FRONT_GAP >> 12,
        start = sym crate::start,
    )
}

/// Ends the process by a breakpoint, as glibc does (its abort-instr.h): SIGTRAP.
pub fn crash() -> ! {
    loop {
        // SAFETY: it is not executed, it traps.
        unsafe { asm!("brk #1000", options(nomem, nostack)) };
    }
}

/// The counter that every program may read (CNTVCT_EL0).
pub fn timestamp() -> u64 {
    let counter: u64;
    // SAFETY: reads a counter.
    unsafe { asm!("mrs {}, cntvct_el0", out(reg) counter, options(nomem, nostack)) };
    counter
}

/// Makes a call that the loader has made, once more; or what stands for one.
///
/// # Safety
///
/// As the call.
pub unsafe fn repeat(number: u64, args: [u64; 6]) -> i64 {
    // SAFETY: the caller's promise.
    unsafe {
        if number == CALL_SET_THREAD_POINTER {
            asm!("msr tpidr_el0, {}", in(reg) args[0], options(nomem, nostack));
            return 0;
        }
        syscall(number, args)
    }
}

/// readlink(2), which this machine has only with a directory: what a link says, into so many bytes.
///
/// # Safety
///
/// `path` is a string, and `to` leads to as many bytes.
pub unsafe fn readlink(path: u64, to: u64, len: u64) -> i64 {
    const AT_FDCWD: u64 = -100i64 as u64;
    // SAFETY: the caller's promise.
    unsafe { syscall(nr::READLINKAT, [AT_FDCWD, path, to, len, 0, 0]) }
}
