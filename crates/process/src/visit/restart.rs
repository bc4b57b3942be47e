//! The system call that a thread was in when it was stopped.
//!
//! Most answer with one of four numbers that the program never sees (ERESTARTSYS and others, include/linux/errno.h), on which
//! the kernel makes them again when the thread runs on and no handler of a signal does first. Some answer EINTR, which a
//! program sees even where no signal has come (signal(7), "Interruption of system calls and library functions by stop
//! signals"). To those the same is done here: they have done nothing yet. Their time limit begins anew.

use std::ops::RangeInclusive;

use nix::libc;
use statify_elf::machine::{Registers, numbers};

/// Make it again, unless a handler is called: then answer EINTR (ERESTARTNOHAND).
const UNLESS_HANDLED: i64 = -514;

/// Those that answer EINTR only if they have done nothing.
const HARMLESS: [i64; 19] = [
    numbers::SYS_epoll_wait,
    numbers::SYS_epoll_pwait,
    numbers::SYS_epoll_pwait2,
    numbers::SYS_semop,
    numbers::SYS_semtimedop,
    numbers::SYS_msgrcv,
    numbers::SYS_msgsnd,
    numbers::SYS_io_getevents,
    numbers::SYS_rt_sigtimedwait,
    numbers::SYS_io_uring_enter,
    numbers::SYS_read,
    numbers::SYS_readv,
    numbers::SYS_recvfrom,
    numbers::SYS_recvmsg,
    numbers::SYS_accept,
    numbers::SYS_accept4,
    numbers::SYS_sendto,
    numbers::SYS_sendmsg,
    numbers::SYS_write,
];

/// The kernel's own numbers for a call that is to be made again, from ERESTARTSYS to ERESTART_RESTARTBLOCK.
const AGAIN: RangeInclusive<i64> = -516..=-512;

/// Whether a call with this result did nothing but wants to be made again, since a signal is to be delivered first.
pub fn is_to_be_made_again(result: i64) -> bool {
    AGAIN.contains(&result) || result == -i64::from(libc::EINTR)
}

/// The registers with which a thread goes on that was stopped with these.
pub fn going_on(registers: &Registers) -> Registers {
    let mut on = *registers;
    let interrupted = registers.result() as i64 == -i64::from(libc::EINTR);
    if interrupted && HARMLESS.contains(&registers.call().0) {
        on.set_result(UNLESS_HANDLED);
    }
    on
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of a thread in a system call that is about to answer.
    fn registers(call: i64, result: i64) -> Registers {
        // SAFETY: numbers, for which all zeros are values.
        let mut raw: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        raw.orig_rax = call as u64;
        raw.rax = result as u64;
        raw.into()
    }

    #[test]
    fn what_was_only_interrupted_is_made_again() {
        let after = |call, result| going_on(&registers(call, result)).result() as i64;
        assert_eq!(after(numbers::SYS_epoll_wait, -4), -514);
        assert_eq!(after(numbers::SYS_epoll_wait, 4), 4);
        assert_eq!(after(numbers::SYS_nanosleep, -516), -516, "the kernel's own way");
        assert_eq!(after(numbers::SYS_close, -4), -4, "it has closed the file");
        assert_eq!(after(-1, -4), -4, "in no system call");
        assert!([-4, -512, -514, -516].into_iter().all(is_to_be_made_again));
        assert!(![0, 7, -22, -511, -517].into_iter().any(is_to_be_made_again));
    }
}
