//! x86-64: entry and system calls.
//!
//! The entry stands in for a `syscall` instruction: number in rax, arguments in rdi, rsi, rdx, r10,
//! r8, r9; the result in rax; rcx and r11 are destroyed, everything else is kept (psABI, A.2.1).
//! The trampolines have put the kind of the site into r11.

#[path = "../../image/arch/x86_64/call.rs"]
mod call;
#[path = "lp64.rs"]
mod lp64;
#[path = "../../image/arch/x86_64/memory.rs"]
mod memory;

use core::arch::naked_asm;

pub use call::syscall;
pub use lp64::{O_LARGEFILE, Time, file_size_limit, file_system_flags, seek};

use crate::format::AgentParams;
use crate::index::Index;
use crate::state::{self, Facts};
use crate::{Call, open};

/// Numbers of the system calls used (arch/x86/entry/syscalls/syscall_64.tbl).
pub mod nr {
    pub const OPEN: u64 = 2;
    pub const CLOSE: u64 = 3;
    pub const STAT: u64 = 4;
    pub const FSTAT: u64 = 5;
    pub const LSEEK: u64 = 8;
    pub const MMAP: u64 = 9;
    pub const PREAD64: u64 = 17;
    pub const PWRITE64: u64 = 18;
    pub const FCNTL: u64 = 72;
    pub const GETRLIMIT: u64 = 97;
    pub const FSTATFS: u64 = 138;
    pub const OPENAT: u64 = 257;
    pub const NEWFSTATAT: u64 = 262;
    pub const FACCESSAT: u64 = 269;
    pub const UTIMENSAT: u64 = 280;
    pub const MEMFD_CREATE: u64 = 319;
}

/// The first instruction: all registers but the three are saved, the vector registers as far as
/// code for the baseline changes them (it leaves their upper halves alone).
#[unsafe(naked)]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.start")]
unsafe extern "C" fn _start() -> ! {
    naked_asm!(
        "push rbx",
        "push r9",
        "push r8",
        "push r10",
        "push rdx",
        "push rsi",
        "push rdi",
        "mov rbx, rsp",
        "and rsp, -16",
        "sub rsp, 256",
        "movups [rsp], xmm0",
        "movups [rsp + 16], xmm1",
        "movups [rsp + 32], xmm2",
        "movups [rsp + 48], xmm3",
        "movups [rsp + 64], xmm4",
        "movups [rsp + 80], xmm5",
        "movups [rsp + 96], xmm6",
        "movups [rsp + 112], xmm7",
        "movups [rsp + 128], xmm8",
        "movups [rsp + 144], xmm9",
        "movups [rsp + 160], xmm10",
        "movups [rsp + 176], xmm11",
        "movups [rsp + 192], xmm12",
        "movups [rsp + 208], xmm13",
        "movups [rsp + 224], xmm14",
        "movups [rsp + 240], xmm15",
        "mov rdi, rbx",
        "mov rsi, rax",
        "mov edx, r11d",
        "lea rcx, [rip + {entry} - {params}]",
        "cld",
        "call {answer}",
        "movups xmm0, [rsp]",
        "movups xmm1, [rsp + 16]",
        "movups xmm2, [rsp + 32]",
        "movups xmm3, [rsp + 48]",
        "movups xmm4, [rsp + 64]",
        "movups xmm5, [rsp + 80]",
        "movups xmm6, [rsp + 96]",
        "movups xmm7, [rsp + 112]",
        "movups xmm8, [rsp + 128]",
        "movups xmm9, [rsp + 144]",
        "movups xmm10, [rsp + 160]",
        "movups xmm11, [rsp + 176]",
        "movups xmm12, [rsp + 192]",
        "movups xmm13, [rsp + 208]",
        "movups xmm14, [rsp + 224]",
        "movups xmm15, [rsp + 240]",
        "mov rsp, rbx",
        "pop rdi",
        "pop rsi",
        "pop rdx",
        "pop r10",
        "pop r8",
        "pop r9",
        "pop rbx",
        "ret",
        entry = sym _start,
        params = const size_of::<AgentParams>(),
        answer = sym crate::answer,
    )
}

/// `struct stat` (arch/x86/include/uapi/asm/stat.h).
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Stat {
    pub dev: u64,
    pub ino: u64,
    pub nlink: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub pad: u32,
    pub rdev: u64,
    pub size: u64,
    pub blksize: u64,
    pub blocks: u64,
    pub atime: [u64; 2],
    pub mtime: [u64; 2],
    pub ctime: [u64; 2],
    pub unused: [u64; 3],
}

impl Stat {
    /// What it says.
    pub fn facts(&self) -> Facts {
        Facts { mode: self.mode, links: self.nlink, size: self.size, modified: self.mtime }
    }
}

/// Calls that only this machine has.
pub fn own_call(index: &Index, call: &Call<'_>) -> i64 {
    match call.number {
        nr::OPEN => open::open(index, call, call.args[0], call.args[1]),
        nr::STAT => state::of_path(index, call, call.args[0], call.args[1]),
        _ => call.make(),
    }
}

/// What e_machine of a library says (EM_X86_64).
pub const MACHINE: u16 = 62;
/// The largest page by which kernels map files, in bytes.
pub const LARGEST_PAGE: usize = 4096;
/// open(2) (asm-generic/fcntl.h): fails if it is no directory.
pub const O_DIRECTORY: u64 = 0o200_000;
