//! The instruction of system calls. The numbers are those that all newer architectures share
//! (include/uapi/asm-generic/unistd.h): none is this machine's own.

/// `svc #0`.
pub const INSTRUCTION: &[u8] = &[0x01, 0x00, 0x00, 0xd4];

/// See [`crate::machine::Machine::own_call_name`].
pub fn own_name(_number: i64) -> Option<&'static str> {
    None
}

/// See [`crate::machine::Machine::sets_thread_pointer`]: none does. The thread's memory is where TPIDR_EL0 says, a
/// register that programs write by themselves; a tracer that has read it calls that by a number of its own.
pub fn sets_thread_pointer(number: i64, _args: &[u64]) -> bool {
    number == statify_params::CALL_SET_THREAD_POINTER as i64
}

/// See [`crate::machine::Machine::thread_pointer_call`].
pub fn thread_pointer_call(
    args: [u64; 6],
    _read: impl FnOnce(u64) -> Option<[u8; 16]>,
) -> Option<[u64; 4]> {
    Some([args[0], 0, 0, 0])
}

/// See [`crate::machine::Machine::thread_pointer`].
pub fn thread_pointer(args: &[u64; 4]) -> u64 {
    args[0]
}

/// The system calls by which a process makes its own instructions trap that tell of the CPU: there are none.
#[cfg(target_arch = "aarch64")]
pub fn calls_that_trap() -> [Option<(i64, [u64; 6])>; 2] {
    [None, None]
}
