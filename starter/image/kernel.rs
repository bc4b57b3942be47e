//! What the kernel knows of a thread and the loader had told it: told again.

use crate::params::{CALL_REQUIRED, CALL_RSEQ, CALL_THREAD_ID, Call, Params};
use crate::{Block, arch, message};

/// Offset of `cpu_id` in `struct rseq` (linux/rseq.h), and the value for "registration failed".
const RSEQ_CPU_ID: u64 = 4;
const RSEQ_CPU_ID_REGISTRATION_FAILED: i32 = -2;

/// What the kernel answered.
pub struct Thread {
    /// The thread id, 0 if no call tells it.
    pub id: u64,
    /// rseq(2) was refused.
    pub without_rseq: bool,
}

/// Repeats the recorded calls in their order.
///
/// # Safety
///
/// The places of the calls are mapped.
pub unsafe fn replay(p: &Params, block: Block<'_>) -> Thread {
    let mut thread = Thread { id: 0, without_rseq: false };
    // SAFETY: the arguments are the loader's own, moved with the block.
    unsafe {
        for call in p.calls.records::<Call>(p) {
            let argument = |i: usize| {
                let value = call.args[i];
                if call.places & (1 << i) != 0 { block.at(value) } else { value }
            };
            let args = [argument(0), argument(1), argument(2), argument(3), 0, 0];
            let result = arch::repeat(call.number, args);
            match call.result {
                CALL_REQUIRED if result < 0 => message::fail(message::THREAD),
                CALL_THREAD_ID if result > 0 => thread.id = result as u64,
                // A sandbox that answers for the kernel: the id is known all the same.
                CALL_THREAD_ID => thread.id = arch::syscall(arch::nr::GETTID, [0; 6]) as u64,
                CALL_RSEQ if result < 0 => {
                    let cpu_id = (args[0] + RSEQ_CPU_ID) as *mut i32;
                    cpu_id.write_unaligned(RSEQ_CPU_ID_REGISTRATION_FAILED);
                    thread.without_rseq = true;
                }
                _ => {}
            }
        }
    }
    thread
}
