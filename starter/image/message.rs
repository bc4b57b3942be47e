//! Giving up: one sentence on stderr, exit status 127, as a shell does for what cannot be started.

use crate::arch::{self, nr};

pub const PAGE_SIZE: &[u8] = b"this program was converted for another page size than this kernel has; convert it for this machine\n";
pub const KERNEL: &[u8] = b"this kernel is older than a library of the converted program demands; run it on a newer one (uname -r tells)\n";
pub const MAPPING: &[u8] = b"the kernel refused memory that the converted program needs at its start; raise the limit (ulimit -v) or convert it again\n";
pub const CPU: &[u8] = b"this program was converted for a CPU that has instructions that this one does not have; convert it for every CPU (--cpu any), or the original needs them as well\n";
pub const THREAD: &[u8] = b"the kernel refused a call that the converted program's C library needs (see arch_prctl(2)); a sandbox may forbid it\n";
pub const PRIVILEGES: &[u8] = b"this program's libraries were found relative to itself ($ORIGIN) or in a way not understood, so it does not run with privileges that its caller does not have; link it with fixed directories and convert it again\n";

/// Says `sentence` and ends the process.
pub fn fail(sentence: &[u8]) -> ! {
    // SAFETY: write(2) reads `sentence` only; exit_group(2) does not return.
    unsafe {
        arch::syscall(nr::WRITE, [2, sentence.as_ptr() as u64, sentence.len() as u64, 0, 0, 0]);
        loop {
            arch::syscall(nr::EXIT_GROUP, [127, 0, 0, 0, 0, 0]);
        }
    }
}
