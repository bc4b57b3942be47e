//! The instruction of system calls. The numbers are those that all newer architectures share
//! (include/uapi/asm-generic/unistd.h): none is this machine's own.

/// `svc #0`.
pub const INSTRUCTION: &[u8] = &[0x01, 0x00, 0x00, 0xd4];

/// See [`crate::machine::Machine::own_call_name`].
pub fn own_name(_number: i64) -> Option<&'static str> {
    None
}

/// See [`crate::machine::Machine::sets_thread_pointer`]: none does. The thread's memory is where TPIDR_EL0 says,
/// a register that programs write by themselves.
pub fn sets_thread_pointer(_number: i64, _args: &[u64]) -> bool {
    false
}

/// See [`crate::machine::Machine::thread_pointer_call`]: there is none.
pub fn thread_pointer_call(
    _args: [u64; 6],
    _read: impl FnOnce(u64) -> Option<[u8; 16]>,
) -> Option<[u64; 4]> {
    None
}

/// See [`crate::machine::Machine::thread_pointer`].
pub fn thread_pointer(_args: &[u64; 4]) -> u64 {
    0
}
