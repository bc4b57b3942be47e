//! The instruction of system calls, and the calls that only this machine has (arch_prctl(2)).

/// `syscall`.
pub const INSTRUCTION: &[u8] = &[0x0f, 0x05];

/// Its number (arch/x86/entry/syscalls/syscall_64.tbl).
const ARCH_PRCTL: i64 = 158;
/// arch_prctl(2): where the thread's memory is.
const ARCH_SET_FS: u64 = 0x1002;
/// arch_prctl(2): whether CPUID may be executed (Linux 4.12, where the CPU or its emulation can).
#[cfg(target_arch = "x86_64")]
const ARCH_SET_CPUID: u64 = 0x1012;
/// PR_SET_TSC of prctl(2): RDTSC ends in SIGSEGV.
#[cfg(target_arch = "x86_64")]
const PR_TSC_SIGSEGV: u64 = 2;

/// See [`crate::machine::Machine::own_call_name`].
pub fn own_name(number: i64) -> Option<&'static str> {
    (number == ARCH_PRCTL).then_some("arch_prctl")
}

/// See [`crate::machine::Machine::sets_thread_pointer`].
pub fn sets_thread_pointer(number: i64, args: &[u64]) -> bool {
    number == ARCH_PRCTL && args.first() == Some(&ARCH_SET_FS)
}

/// The system calls, each with its number and arguments, by which a process makes its own instructions trap
/// that tell what is another in every run and on every CPU: first those that read the time-stamp counter,
/// which every kernel can do, then CPUID, which not every one can.
#[cfg(target_arch = "x86_64")]
pub fn calls_that_trap() -> [Option<(i64, [u64; 6])>; 2] {
    [
        Some((libc::SYS_prctl, [libc::PR_SET_TSC as u64, PR_TSC_SIGSEGV, 0, 0, 0, 0])),
        Some((libc::SYS_arch_prctl, [ARCH_SET_CPUID, 0, 0, 0, 0, 0])),
    ]
}

/// See [`crate::machine::Machine::thread_pointer_call`].
pub fn thread_pointer_call(
    args: [u64; 6],
    _read: impl FnOnce(u64) -> Option<[u8; 16]>,
) -> Option<[u64; 4]> {
    Some([args[0], args[1], 0, 0])
}

/// See [`crate::machine::Machine::thread_pointer`].
pub fn thread_pointer(args: &[u64; 4]) -> u64 {
    args[1]
}
