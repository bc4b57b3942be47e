//! AArch64: entry and system calls.
//!
//! The entry stands in for a `svc #0`: number in x8, arguments in x0 to x5; the result in x0; all else is kept, but for what
//! the kernel destroys in vectors of more than 128 bits (Documentation/arch/arm64/sve.rst). The trampolines have put the
//! kind of the site into x16, which they restore, as the return address.

#[path = "../../image/arch/aarch64/call.rs"]
mod call;
#[path = "lp64.rs"]
mod lp64;
#[path = "../../image/arch/aarch64/memory.rs"]
mod memory;

use core::arch::naked_asm;

pub use call::syscall;
pub use lp64::{O_LARGEFILE, Time, file_size_limit, file_system_flags, seek};

use crate::Call;
use crate::format::AgentParams;
use crate::index::Index;
use crate::state::Facts;

/// Numbers of the system calls used (include/uapi/asm-generic/unistd.h).
pub mod nr {
    pub const FCNTL: u64 = 25;
    pub const FSTATFS: u64 = 44;
    pub const FACCESSAT: u64 = 48;
    pub const OPENAT: u64 = 56;
    pub const CLOSE: u64 = 57;
    pub const LSEEK: u64 = 62;
    pub const PREAD64: u64 = 67;
    pub const PWRITE64: u64 = 68;
    pub const NEWFSTATAT: u64 = 79;
    pub const FSTAT: u64 = 80;
    pub const UTIMENSAT: u64 = 88;
    pub const GETRLIMIT: u64 = 163;
    pub const MMAP: u64 = 222;
    pub const MEMFD_CREATE: u64 = 279;
}

/// The first instruction. What functions keep by themselves (x19 to x28, aapcs64) is not saved.
#[unsafe(naked)]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.start")]
unsafe extern "C" fn _start() -> ! {
    naked_asm!(
        "sub sp, sp, #688",
        "stp x0, x1, [sp]",
        "stp x2, x3, [sp, #16]",
        "stp x4, x5, [sp, #32]",
        "stp x6, x7, [sp, #48]",
        "stp x8, x9, [sp, #64]",
        "stp x10, x11, [sp, #80]",
        "stp x12, x13, [sp, #96]",
        "stp x14, x15, [sp, #112]",
        "stp x17, x18, [sp, #128]",
        "stp x29, x30, [sp, #144]",
        "mrs x9, nzcv",
        "str x9, [sp, #160]",
        "stp q0, q1, [sp, #176]",
        "stp q2, q3, [sp, #208]",
        "stp q4, q5, [sp, #240]",
        "stp q6, q7, [sp, #272]",
        "stp q8, q9, [sp, #304]",
        "stp q10, q11, [sp, #336]",
        "stp q12, q13, [sp, #368]",
        "stp q14, q15, [sp, #400]",
        "stp q16, q17, [sp, #432]",
        "stp q18, q19, [sp, #464]",
        "stp q20, q21, [sp, #496]",
        "stp q22, q23, [sp, #528]",
        "stp q24, q25, [sp, #560]",
        "stp q26, q27, [sp, #592]",
        "stp q28, q29, [sp, #624]",
        "stp q30, q31, [sp, #656]",
        "mov x0, sp",
        "mov x1, x8",
        "mov w2, w16",
        "adr x3, {entry}",
        "sub x3, x3, #{params}",
        "bl {answer}",
        "ldp q0, q1, [sp, #176]",
        "ldp q2, q3, [sp, #208]",
        "ldp q4, q5, [sp, #240]",
        "ldp q6, q7, [sp, #272]",
        "ldp q8, q9, [sp, #304]",
        "ldp q10, q11, [sp, #336]",
        "ldp q12, q13, [sp, #368]",
        "ldp q14, q15, [sp, #400]",
        "ldp q16, q17, [sp, #432]",
        "ldp q18, q19, [sp, #464]",
        "ldp q20, q21, [sp, #496]",
        "ldp q22, q23, [sp, #528]",
        "ldp q24, q25, [sp, #560]",
        "ldp q26, q27, [sp, #592]",
        "ldp q28, q29, [sp, #624]",
        "ldp q30, q31, [sp, #656]",
        "ldr x9, [sp, #160]",
        "msr nzcv, x9",
        // Not x0, which has the result.
        "ldr x1, [sp, #8]",
        "ldp x2, x3, [sp, #16]",
        "ldp x4, x5, [sp, #32]",
        "ldp x6, x7, [sp, #48]",
        "ldp x8, x9, [sp, #64]",
        "ldp x10, x11, [sp, #80]",
        "ldp x12, x13, [sp, #96]",
        "ldp x14, x15, [sp, #112]",
        "ldp x17, x18, [sp, #128]",
        "ldp x29, x30, [sp, #144]",
        "add sp, sp, #688",
        "ret",
        entry = sym _start,
        params = const size_of::<AgentParams>(),
        answer = sym crate::answer,
    )
}

/// `struct stat` (include/uapi/asm-generic/stat.h).
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Stat {
    pub dev: u64,
    pub ino: u64,
    pub mode: u32,
    pub nlink: u32,
    uid: u32,
    gid: u32,
    rdev: u64,
    pad1: u64,
    pub size: u64,
    blksize: u32,
    pad2: u32,
    blocks: u64,
    atime: [Time; 2],
    mtime: [Time; 2],
    ctime: [Time; 2],
    unused: [u32; 2],
}

const _: () = assert!(size_of::<Stat>() == 128);

impl Stat {
    /// What it says.
    pub fn facts(&self) -> Facts {
        let links = self.nlink.into();
        Facts { mode: self.mode, links, size: self.size, modified: self.mtime }
    }
}

/// Calls that only this machine has: none.
pub fn own_call(_: &Index, call: &Call<'_>) -> i64 {
    call.make()
}

/// What e_machine of a library says (EM_AARCH64).
pub const MACHINE: u16 = 183;
/// The largest page by which kernels map files, in bytes.
pub const LARGEST_PAGE: usize = 65536;
/// open(2) (arch/arm64/include/uapi/asm/fcntl.h): fails if it is no directory.
pub const O_DIRECTORY: u64 = 0o40_000;
