//! Numbers of system calls (arch/x86/entry/syscalls/syscall_32.tbl), and those of the calls that do the same on the
//! kernel of 64 bits that runs them (syscall_64.tbl): what a tracer is told of a call is the latter, which are
//! the ones that it was compiled with.

use crate::machine::numbers as host;

/// Added to the numbers of calls that only this machine has.
const OWN: i64 = 1 << 32;
/// From here on all machines have the same numbers.
const COMMON: i64 = 424;
/// mmap2(2): like mmap(2), but the offset counts pages of 4 KiB.
pub const MMAP2: i64 = 192;

/// Those that loaders make and tracers have made. Where several of this machine's do what one of the other's
/// does, the one to make is the first.
const NUMBERS: [(i64, i64); 66] = [
    (1, host::SYS_exit),
    (3, host::SYS_read),
    (4, host::SYS_write),
    (5, host::SYS_open),
    (6, host::SYS_close),
    (11, host::SYS_execve),
    (20, host::SYS_getpid),
    (33, host::SYS_access),
    (45, host::SYS_brk),
    (77, host::SYS_getrusage),
    (85, host::SYS_readlink),
    (91, host::SYS_munmap),
    (122, host::SYS_uname),
    (125, host::SYS_mprotect),
    // _llseek, which answers by memory.
    (140, host::SYS_lseek),
    (19, host::SYS_lseek),
    (145, host::SYS_readv),
    (146, host::SYS_writev),
    (163, host::SYS_mremap),
    (172, host::SYS_prctl),
    (173, host::SYS_rt_sigreturn),
    (174, host::SYS_rt_sigaction),
    (175, host::SYS_rt_sigprocmask),
    (180, host::SYS_pread64),
    (183, host::SYS_getcwd),
    // ugetrlimit.
    (191, host::SYS_getrlimit),
    (MMAP2, host::SYS_mmap),
    // stat64 and its kind; the older ones have fewer bits for sizes and inodes.
    (195, host::SYS_stat),
    (106, host::SYS_stat),
    (196, host::SYS_lstat),
    (107, host::SYS_lstat),
    (197, host::SYS_fstat),
    (108, host::SYS_fstat),
    (300, host::SYS_newfstatat),
    // getuid32 and its kind; the older ones have 16 bits for a user.
    (199, host::SYS_getuid),
    (24, host::SYS_getuid),
    (200, host::SYS_getgid),
    (47, host::SYS_getgid),
    (201, host::SYS_geteuid),
    (49, host::SYS_geteuid),
    (202, host::SYS_getegid),
    (50, host::SYS_getegid),
    (206, host::SYS_setgroups),
    (215, host::SYS_setfsuid),
    (216, host::SYS_setfsgid),
    (219, host::SYS_madvise),
    // fcntl64.
    (221, host::SYS_fcntl),
    (55, host::SYS_fcntl),
    (224, host::SYS_gettid),
    (242, host::SYS_sched_getaffinity),
    (252, host::SYS_exit_group),
    (258, host::SYS_set_tid_address),
    (270, host::SYS_tgkill),
    (295, host::SYS_openat),
    (305, host::SYS_readlinkat),
    (307, host::SYS_faccessat),
    (311, host::SYS_set_robust_list),
    (312, host::SYS_get_robust_list),
    (340, host::SYS_prlimit64),
    (355, host::SYS_getrandom),
    (375, host::SYS_membarrier),
    (383, host::SYS_statx),
    (384, host::SYS_arch_prctl),
    (386, host::SYS_rseq),
    (240, host::SYS_futex),
    (162, host::SYS_nanosleep),
];

/// What the kernel of 64 bits calls the call of this number; if it has none, a number of no call.
#[cfg(target_arch = "x86_64")]
pub fn of_kernel(number: i64) -> i64 {
    let known = NUMBERS.iter().find(|pair| pair.0 == number).map(|pair| pair.1);
    known.unwrap_or(if number >= COMMON { number } else { number | OWN })
}

/// The reverse: the number of the call that does what the kernel's call of this number does. `None` if none is known.
#[cfg(target_arch = "x86_64")]
pub fn own(number: i64) -> Option<i64> {
    all(number).next()
}

/// All numbers of calls that do it.
pub fn all(number: i64) -> impl Iterator<Item = i64> {
    let itself = match number {
        COMMON.. if number & OWN == 0 => Some(number),
        _ if number >= OWN => Some(number & !OWN),
        _ => None,
    };
    let known = NUMBERS.iter().filter(move |pair| pair.1 == number).map(|pair| pair.0);
    known.chain(itself)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET_THREAD_AREA: i64 = 243;

    #[test]
    fn numbers_lead_back() {
        for number in 0..500 {
            assert!(all(of_kernel(number)).any(|one| one == number), "{number}");
        }
        assert_eq!((own(host::SYS_mmap), own(host::SYS_fork)), (Some(MMAP2), None));
        assert_eq!(own(of_kernel(SET_THREAD_AREA)), Some(SET_THREAD_AREA));
        assert_eq!(own(host::SYS_clone3), Some(host::SYS_clone3));
    }

    #[test]
    fn no_number_is_listed_twice() {
        let mut numbers: Vec<i64> = NUMBERS.iter().map(|pair| pair.0).collect();
        numbers.sort_unstable();
        assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
