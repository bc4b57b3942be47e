//! i386: entry and system calls.
//!
//! The entry stands in for an `int $0x80` or for a call of `__kernel_vsyscall`: number in eax, arguments in ebx, ecx, edx,
//! esi, edi, ebp; the result in eax; all else is kept. The trampolines have pushed the kind of the site. The image is
//! compiled without vector registers, and without those of the 387.

#[path = "../../image/arch/i386/call.rs"]
mod call;
#[path = "../../image/arch/i386/memory.rs"]
mod memory;
#[path = "i386/stat.rs"]
mod stat;
#[path = "i386/statx.rs"]
mod statx;

use core::arch::naked_asm;

pub use call::syscall;
pub use stat::{Stat, Time};

use crate::format::AgentParams;
use crate::index::Index;
use crate::{Call, open, own, state};

/// Numbers of the system calls used (arch/x86/entry/syscalls/syscall_32.tbl). MMAP is mmap2(2), GETRLIMIT is ugetrlimit,
/// STAT, FSTAT and NEWFSTATAT are those of `struct stat64`.
pub mod nr {
    pub const OPEN: u64 = 5;
    pub const CLOSE: u64 = 6;
    pub const LSEEK: u64 = 19;
    pub const FCNTL: u64 = 55;
    pub const LLSEEK: u64 = 140;
    pub const PREAD64: u64 = 180;
    pub const PWRITE64: u64 = 181;
    pub const GETRLIMIT: u64 = 191;
    pub const MMAP: u64 = 192;
    pub const STAT: u64 = 195;
    pub const FSTAT: u64 = 197;
    pub const FSTATFS64: u64 = 269;
    pub const OPENAT: u64 = 295;
    pub const NEWFSTATAT: u64 = 300;
    pub const FACCESSAT: u64 = 307;
    pub const UTIMENSAT: u64 = 320;
    pub const MEMFD_CREATE: u64 = 356;
    pub const STATX: u64 = 383;
}

/// The first instruction: all registers but eax are saved, the arguments behind one another.
#[unsafe(naked)]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.start")]
unsafe extern "C" fn _start() -> ! {
    naked_asm!(
        "push ebp",
        "push edi",
        "push esi",
        "push edx",
        "push ecx",
        "push ebx",
        "mov ebx, esp",
        "cld",
        "call 2f",
        "2: pop ecx",
        "lea ecx, [ecx - {before} - {params}]",
        "and esp, -16",
        "push ecx",
        // The kind of the site, behind six registers and the return address.
        "push [ebx + 28]",
        "push eax",
        "push ebx",
        "call {answer}",
        "mov esp, ebx",
        "pop ebx",
        "pop ecx",
        "pop edx",
        "pop esi",
        "pop edi",
        "pop ebp",
        "ret",
        // Six pushes, mov, cld, call: so many bytes are before the label.
        before = const 6 + 2 + 1 + 5,
        params = const size_of::<AgentParams>(),
        answer = sym answer,
    )
}

/// The result of a call with these arguments, as the registers have them.
///
/// # Safety
///
/// As [`crate::answer`].
unsafe extern "C" fn answer(
    words: &[u32; 6],
    number: u32,
    site: u32,
    params: *const AgentParams,
) -> u32 {
    let number = number.into();
    let mut args = words.map(u64::from);
    // Offsets in a file: mmap2(2) has pages of 4 KiB, pread64(2) and pwrite64(2) two words. As `syscall` takes them.
    match number {
        nr::MMAP => args[5] <<= 12,
        nr::PREAD64 | nr::PWRITE64 => args[3] |= args[4] << 32,
        _ => {}
    }
    // SAFETY: the caller's promise.
    unsafe { crate::answer(&args, number, site, params) as u32 }
}

/// Calls that only this machine has.
pub fn own_call(index: &Index, call: &Call<'_>) -> i64 {
    match call.number {
        nr::OPEN => open::open(index, call, call.args[0], call.args[1]),
        nr::STAT => state::of_path(index, call, call.args[0], call.args[1]),
        nr::LLSEEK => position(index, call),
        nr::STATX => statx::answer(index, call),
        _ => call.make(),
    }
}

/// Answers _llseek(2): the new position is written to memory.
fn position(index: &Index, call: &Call<'_>) -> i64 {
    let [descriptor, high, low, to, whence, _] = *call.args;
    match own::moved(index, descriptor, high << 32 | low, whence) {
        Some(moved) if moved >= 0 => {
            // SAFETY: it is the loader's, for this.
            unsafe { (to as *mut u64).write_unaligned(moved as u64) };
            0
        }
        Some(error) => error,
        None => call.make(),
    }
}

/// lseek(2), by _llseek(2).
pub fn seek(descriptor: i64, offset: u64, whence: u64) -> i64 {
    let mut position = 0i64;
    let args = [descriptor as u64, offset >> 32, offset, &raw mut position as u64, whence, 0];
    // SAFETY: writes `position`, and changes nothing but the descriptor's.
    let result = unsafe { syscall(nr::LLSEEK, args) };
    if result < 0 { result } else { position }
}

/// How large a file may become. No limit is the highest number.
pub fn file_size_limit() -> u64 {
    const RLIMIT_FSIZE: u64 = 1;
    let mut limits = [u32::MAX; 2];
    // SAFETY: the kernel writes the two words.
    unsafe { syscall(nr::GETRLIMIT, [RLIMIT_FSIZE, limits.as_mut_ptr() as u64, 0, 0, 0, 0]) };
    limits[0].into()
}

/// `f_flags` of the file system that a file is on; 0 if it does not say.
pub fn file_system_flags(fd: u64) -> u64 {
    // `struct statfs64` (arch/x86/include/uapi/asm/statfs.h), by words of 4 bytes: f_flags, and its size.
    const FLAGS: usize = 16;
    const SIZE: usize = 21;
    let mut state = [0u32; SIZE];
    let len = size_of::<[u32; SIZE]>() as u64;
    // SAFETY: the kernel writes the structure.
    unsafe { syscall(nr::FSTATFS64, [fd, len, state.as_mut_ptr() as u64, 0, 0, 0]) };
    state[FLAGS].into()
}

/// What e_machine of a library says (EM_386).
pub const MACHINE: u16 = 3;
/// The largest page by which kernels map files, in bytes.
pub const LARGEST_PAGE: usize = 4096;
/// open(2) (asm-generic/fcntl.h): fails if it is no directory.
pub const O_DIRECTORY: u64 = 0o200_000;
/// open(2): without it code of 32 bits opens no file of 2 GiB.
pub const O_LARGEFILE: u64 = 0o100_000;
