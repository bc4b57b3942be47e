//! x86-64: entry, system calls, hand-off.
//!
//! Process entry (psABI, 3.4.1): rsp points at argc and is a multiple of 16; all else is undefined.
//! Hand-off: what follows the `call _dl_start` in ld.so's `_start` expects the program's entry point
//! in rax and argc at rsp; nothing else is live there (glibc, sysdeps/x86_64/dl-machine.h, RTLD_START).
//! musl continues at the program's entry point, where rdx is a function for atexit(3), or zero
//! (psABI, 3.4.1): so it is zero, and the way on is in a word below the stack.

#[path = "x86_64/call.rs"]
mod call;
#[path = "x86_64/memory.rs"]
mod memory;
#[path = "x86.rs"]
mod x86;

use core::arch::naked_asm;

pub use call::syscall;
pub use x86::{
    FRONT_GAP, Pages, cpu_features, cpu_word, crash, has_hwcap, protection, readlink, resolver,
    timestamp,
};

use crate::PAGE;
use crate::params::Params;

/// Numbers of the system calls used (arch/x86/entry/syscalls/syscall_64.tbl).
pub mod nr {
    pub const WRITE: u64 = 1;
    pub const CLOSE: u64 = 3;
    pub const FSTAT: u64 = 5;
    pub const MMAP: u64 = 9;
    pub const MPROTECT: u64 = 10;
    pub const MUNMAP: u64 = 11;
    pub const BRK: u64 = 12;
    pub const IOCTL: u64 = 16;
    pub const PREAD64: u64 = 17;
    pub const MREMAP: u64 = 25;
    pub const MADVISE: u64 = 28;
    pub const UNAME: u64 = 63;
    pub const FCNTL: u64 = 72;
    pub const READLINK: u64 = 89;
    pub const GETRLIMIT: u64 = 97;
    pub const PRCTL: u64 = 157;
    pub const GETTID: u64 = 186;
    pub const EXIT_GROUP: u64 = 231;
    pub const OPENAT: u64 = 257;
    pub const PRLIMIT64: u64 = 302;
    pub const GETRANDOM: u64 = 318;
    pub const MSEAL: u64 = 462;
}

/// `struct stat` (arch/x86/include/uapi/asm/stat.h): its size, and where st_mode and st_uid (4 bytes), st_rdev and
/// st_size (8 bytes) are in it.
pub const STAT_WORDS: usize = 18;
pub const STAT_MODE: usize = 24;
pub const STAT_UID: usize = 28;
pub const STAT_RDEV: usize = 40;
pub const STAT_SIZE: usize = 48;

/// Flags of openat(2) (asm-generic/fcntl.h).
pub const O_NOCTTY: u64 = 0o400;
pub const O_NONBLOCK: u64 = 0o4000;
pub const O_DIRECTORY: u64 = 0o200000;
pub const O_NOFOLLOW: u64 = 0o400000;
pub const O_CLOEXEC: u64 = 0o2000000;
pub const O_LARGEFILE: u64 = 0;

/// Whether the executed path lies where a stack ends that is not randomised: at the end of the lower 47 bits of
/// addresses, less the page that is never mapped (DEFAULT_MAP_WINDOW in arch/x86/include/asm/page_64_types.h).
pub fn ends_address_space(path: u64) -> bool {
    const STACK_TOP: u64 = (1 << 47) - PAGE;
    path >= STACK_TOP - 2 * PAGE
}

/// How many pages a random address may be away from where it is counted from, less one: as many
/// random bits as vm.mmap_rnd_bits is at most.
pub const RANDOM_PAGES: u64 = (1 << 32) - 1;
/// A mask for the number of pages between two groups of libraries: so far apart each takes one page of
/// the page tables of its own, and no more.
pub const GAP_PAGES: u64 = (1 << 16) - 1;
/// From where random addresses are counted: 16 TiB each, where the kernel places nothing by itself.
/// It has position-independent files and breaks from 2/3 of the address space on (ELF_ET_DYN_BASE),
/// mappings and the stack near its end.
pub const PROGRAM: u64 = 48 << 40;
pub const LIBRARIES: u64 = 64 << 40;
pub const HEAP: u64 = 0x5555_5555_4000;

/// Where and with what to continue; returned in rax and rdx.
#[repr(C)]
pub struct Resume {
    entry: u64,
    handoff: u64,
}

impl Resume {
    pub fn new(entry: u64, handoff: u64) -> Self {
        Self { entry, handoff }
    }
}

/// The first instruction of every converted program.
#[unsafe(naked)]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.start")]
unsafe extern "C" fn _start() -> ! {
    naked_asm!(
        "mov rdi, rsp",
        "lea rsi, [rip + {entry} - {params}]",
        "mov rbx, rsp",
        "xor ebp, ebp",
        "call {start}",
        "mov rsp, rbx",
        "xor ebx, ebx",
        "xor ecx, ecx",
        "xor esi, esi",
        "xor edi, edi",
        "xor r8d, r8d",
        "xor r9d, r9d",
        "xor r10d, r10d",
        "xor r11d, r11d",
        "xor r12d, r12d",
        "xor r13d, r13d",
        "xor r14d, r14d",
        "xor r15d, r15d",
        "mov [rsp - 8], rdx",
        "xor edx, edx",
        "jmp [rsp - 8]",
        entry = sym _start,
        params = const size_of::<Params>(),
        start = sym crate::start,
    )
}

/// Makes a call that the loader has made, once more.
///
/// # Safety
///
/// As the call.
pub unsafe fn repeat(number: u64, args: [u64; 6]) -> i64 {
    // SAFETY: the caller's promise.
    unsafe { syscall(number, args) }
}
