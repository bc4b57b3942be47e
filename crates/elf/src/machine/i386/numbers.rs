//! Numbers of system calls (arch/x86/entry/syscalls/syscall_32.tbl), and those of the calls that do the same on the
//! kernel of 64 bits that runs them (syscall_64.tbl): what a tracer is told of a call is the latter, which are
//! the ones that it was compiled with.

/// Added to the numbers of calls that only this machine has.
const OWN: i64 = 1 << 32;
/// From here on all machines have the same numbers.
const COMMON: i64 = 424;
/// mmap2(2): like mmap(2), but the offset counts pages of 4 KiB.
pub const MMAP2: i64 = 192;

/// Those that loaders make and tracers have made. Where several of this machine's do what one of the other's
/// does, the one to make is the first.
const NUMBERS: [(i64, i64); 66] = [
    (1, libc::SYS_exit),
    (3, libc::SYS_read),
    (4, libc::SYS_write),
    (5, libc::SYS_open),
    (6, libc::SYS_close),
    (11, libc::SYS_execve),
    (20, libc::SYS_getpid),
    (33, libc::SYS_access),
    (45, libc::SYS_brk),
    (77, libc::SYS_getrusage),
    (85, libc::SYS_readlink),
    (91, libc::SYS_munmap),
    (122, libc::SYS_uname),
    (125, libc::SYS_mprotect),
    // _llseek, which answers by memory.
    (140, libc::SYS_lseek),
    (19, libc::SYS_lseek),
    (145, libc::SYS_readv),
    (146, libc::SYS_writev),
    (163, libc::SYS_mremap),
    (172, libc::SYS_prctl),
    (173, libc::SYS_rt_sigreturn),
    (174, libc::SYS_rt_sigaction),
    (175, libc::SYS_rt_sigprocmask),
    (180, libc::SYS_pread64),
    (183, libc::SYS_getcwd),
    // ugetrlimit.
    (191, libc::SYS_getrlimit),
    (MMAP2, libc::SYS_mmap),
    // stat64 and its kind; the older ones have fewer bits for sizes and inodes.
    (195, libc::SYS_stat),
    (106, libc::SYS_stat),
    (196, libc::SYS_lstat),
    (107, libc::SYS_lstat),
    (197, libc::SYS_fstat),
    (108, libc::SYS_fstat),
    (300, libc::SYS_newfstatat),
    // getuid32 and its kind; the older ones have 16 bits for a user.
    (199, libc::SYS_getuid),
    (24, libc::SYS_getuid),
    (200, libc::SYS_getgid),
    (47, libc::SYS_getgid),
    (201, libc::SYS_geteuid),
    (49, libc::SYS_geteuid),
    (202, libc::SYS_getegid),
    (50, libc::SYS_getegid),
    (206, libc::SYS_setgroups),
    (215, libc::SYS_setfsuid),
    (216, libc::SYS_setfsgid),
    (219, libc::SYS_madvise),
    // fcntl64.
    (221, libc::SYS_fcntl),
    (55, libc::SYS_fcntl),
    (224, libc::SYS_gettid),
    (242, libc::SYS_sched_getaffinity),
    (252, libc::SYS_exit_group),
    (258, libc::SYS_set_tid_address),
    (270, libc::SYS_tgkill),
    (295, libc::SYS_openat),
    (305, libc::SYS_readlinkat),
    (307, libc::SYS_faccessat),
    (311, libc::SYS_set_robust_list),
    (312, libc::SYS_get_robust_list),
    (340, libc::SYS_prlimit64),
    (355, libc::SYS_getrandom),
    (375, libc::SYS_membarrier),
    (383, libc::SYS_statx),
    (384, libc::SYS_arch_prctl),
    (386, libc::SYS_rseq),
    (240, libc::SYS_futex),
    (162, libc::SYS_nanosleep),
];

/// What the kernel of 64 bits calls the call of this number; if it has none, a number of no call.
pub fn of_kernel(number: i64) -> i64 {
    let known = NUMBERS.iter().find(|pair| pair.0 == number).map(|pair| pair.1);
    known.unwrap_or(if number >= COMMON { number } else { number | OWN })
}

/// The reverse: the number of the call that does what the kernel's call of this number does. `None` if none is known.
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
        assert_eq!((own(libc::SYS_mmap), own(libc::SYS_fork)), (Some(MMAP2), None));
        assert_eq!(own(of_kernel(SET_THREAD_AREA)), Some(SET_THREAD_AREA));
        assert_eq!(own(libc::SYS_clone3), Some(libc::SYS_clone3));
    }

    #[test]
    fn no_number_is_listed_twice() {
        let mut numbers: Vec<i64> = NUMBERS.iter().map(|pair| pair.0).collect();
        numbers.sort_unstable();
        assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
