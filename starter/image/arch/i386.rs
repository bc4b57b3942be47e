//! i386: entry, system calls, hand-off.
//!
//! Process entry (i386 psABI, 2.3.1): esp points at argc and is a multiple of 16; all else is undefined.
//! Hand-off: what follows the `call _dl_start` in ld.so's `_start`, when the stack is as it was before, expects the
//! program's entry point in eax and argc at esp; nothing else is live there (glibc, sysdeps/i386/dl-machine.h,
//! RTLD_START). musl continues at the program's entry point, where edx is a function for atexit(3), or zero: so it
//! is zero, and the way on is in a word below the stack.

#[path = "i386/call.rs"]
mod call;
#[path = "i386/memory.rs"]
mod memory;
#[path = "i386/thread.rs"]
mod thread;
#[path = "x86.rs"]
mod x86;

use core::arch::naked_asm;

pub use call::syscall;
pub use thread::repeat;
pub use x86::{
    FRONT_GAP, Pages, cpu_features, cpu_word, crash, has_hwcap, protection, readlink, resolver,
    timestamp,
};

use crate::PAGE;
use crate::params::Params;

/// Numbers of the system calls used (arch/x86/entry/syscalls/syscall_32.tbl). MMAP is mmap2(2), FSTAT is fstat64(2),
/// GETRLIMIT is ugetrlimit.
pub mod nr {
    pub const WRITE: u64 = 4;
    pub const CLOSE: u64 = 6;
    pub const BRK: u64 = 45;
    pub const IOCTL: u64 = 54;
    pub const FCNTL: u64 = 55;
    pub const READLINK: u64 = 85;
    pub const MUNMAP: u64 = 91;
    pub const UNAME: u64 = 122;
    pub const MPROTECT: u64 = 125;
    pub const MREMAP: u64 = 163;
    pub const PRCTL: u64 = 172;
    pub const PREAD64: u64 = 180;
    pub const GETRLIMIT: u64 = 191;
    pub const MMAP: u64 = 192;
    pub const FSTAT: u64 = 197;
    pub const MADVISE: u64 = 219;
    pub const GETTID: u64 = 224;
    pub const SET_THREAD_AREA: u64 = 243;
    pub const EXIT_GROUP: u64 = 252;
    pub const OPENAT: u64 = 295;
    pub const PRLIMIT64: u64 = 340;
    pub const GETRANDOM: u64 = 355;
    pub const MSEAL: u64 = 462;
}

/// `struct stat64` (arch/x86/include/uapi/asm/stat.h): its size, and where st_mode and st_uid (4 bytes), st_rdev and
/// st_size (8 bytes) are in it.
pub const STAT_WORDS: usize = 12;
pub const STAT_MODE: usize = 16;
pub const STAT_UID: usize = 24;
pub const STAT_RDEV: usize = 32;
pub const STAT_SIZE: usize = 44;

/// Flags of openat(2) (asm-generic/fcntl.h).
pub const O_NOCTTY: u64 = 0o400;
pub const O_NONBLOCK: u64 = 0o4000;
pub const O_LARGEFILE: u64 = 0o100000;
pub const O_DIRECTORY: u64 = 0o200000;
pub const O_NOFOLLOW: u64 = 0o400000;
pub const O_CLOEXEC: u64 = 0o2000000;

/// Whether the executed path lies where a stack ends that is not randomised: at the end of the addresses that a
/// kernel of 64 bits gives (IA32_PAGE_OFFSET in arch/x86/include/asm/page_64_types.h), or one of 32
/// (CONFIG_PAGE_OFFSET).
pub fn ends_address_space(path: u64) -> bool {
    const STACK_TOPS: [u64; 2] = [0xffff_e000, 0xc000_0000];
    STACK_TOPS.iter().any(|top| (top - 2 * PAGE..*top).contains(&path))
}

/// How many pages a random address may be away from where it is counted from, less one: as many random bits as
/// vm.mmap_rnd_compat_bits is at most.
pub const RANDOM_PAGES: u64 = (1 << 16) - 1;
/// A mask for the number of pages between two groups of libraries: a hundred of them take 50 MiB of addresses on average.
pub const GAP_PAGES: u64 = (1 << 8) - 1;
/// From where random addresses are counted: 256 MiB each, below where the kernel has mappings and the stack. The
/// heap has what is behind it, which is most of a kernel's own 3 GiB.
pub const PROGRAM: u64 = 0x1000_0000;
pub const LIBRARIES: u64 = 0x2c00_0000;
pub const HEAP: u64 = 0x5000_0000;

/// Where and with what to continue; returned in eax and edx.
#[repr(transparent)]
pub struct Resume(u64);

impl Resume {
    pub fn new(entry: u64, handoff: u64) -> Self {
        Self(entry & 0xffff_ffff | handoff << 32)
    }
}

/// The first instruction of every converted program. `start` finds its arguments on a stack that is a multiple of 16.
#[unsafe(naked)]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.start")]
unsafe extern "C" fn _start() -> ! {
    naked_asm!(
        "mov ebx, esp",
        "xor ebp, ebp",
        "call 2f",
        "2: pop eax",
        "lea eax, [eax - {before} - {params}]",
        "sub esp, 8",
        "push eax",
        "push ebx",
        "call {start}",
        "mov esp, ebx",
        "xor ebx, ebx",
        "xor ecx, ecx",
        "xor esi, esi",
        "xor edi, edi",
        "mov [esp - 4], edx",
        "xor edx, edx",
        "jmp [esp - 4]",
        // mov, xor, call: so many bytes are before the label.
        before = const 2 + 2 + 5,
        params = const size_of::<Params>(),
        start = sym crate::start,
    )
}
