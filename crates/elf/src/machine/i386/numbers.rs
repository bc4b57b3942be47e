//! Numbers of system calls (arch/x86/entry/syscalls/syscall_32.tbl), and those of the calls that do the same on the
//! kernel of 64 bits that runs them (syscall_64.tbl): what a tracer is told of a call is the latter, which are
//! the ones that it was compiled with, and what a filter permits is said by them.
//!
//! A call has another *form* if it has not the same arguments in the same places: it takes them from memory, in two
//! halves, or has others. Of those a tracer is not told, and a filter cannot look at what they are asked for.

use crate::machine::numbers as libc;

/// Added to the numbers of calls that only this machine has.
const OWN: i64 = 1 << 32;
/// From here on all machines have the same numbers.
const COMMON: i64 = 424;
/// mmap2(2): like mmap(2), but the offset counts pages of 4 KiB.
pub const MMAP2: i64 = 192;

/// Those of the same form, first what loaders make and tracers have made. Where several of this machine's do what one
/// of the other's does, the one to make is the first. (Structures may be laid out differently.)
const NUMBERS: &[(i64, i64)] = &[
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
    // What other programs make. From 198 to 216 with users of 32 bits, from 403 to 423 with times of 64.
    (0, libc::SYS_restart_syscall),
    (2, libc::SYS_fork),
    (8, libc::SYS_creat),
    (9, libc::SYS_link),
    (10, libc::SYS_unlink),
    (12, libc::SYS_chdir),
    (13, libc::SYS_time),
    (14, libc::SYS_mknod),
    (15, libc::SYS_chmod),
    (16, libc::SYS_lchown),
    (21, libc::SYS_mount),
    (23, libc::SYS_setuid),
    (26, libc::SYS_ptrace),
    (27, libc::SYS_alarm),
    (29, libc::SYS_pause),
    (30, libc::SYS_utime),
    (37, libc::SYS_kill),
    (38, libc::SYS_rename),
    (39, libc::SYS_mkdir),
    (40, libc::SYS_rmdir),
    (41, libc::SYS_dup),
    (42, libc::SYS_pipe),
    (43, libc::SYS_times),
    (46, libc::SYS_setgid),
    (51, libc::SYS_acct),
    (52, libc::SYS_umount2),
    (54, libc::SYS_ioctl),
    (57, libc::SYS_setpgid),
    (60, libc::SYS_umask),
    (61, libc::SYS_chroot),
    (63, libc::SYS_dup2),
    (64, libc::SYS_getppid),
    (65, libc::SYS_getpgrp),
    (66, libc::SYS_setsid),
    (70, libc::SYS_setreuid),
    (71, libc::SYS_setregid),
    (74, libc::SYS_sethostname),
    (75, libc::SYS_setrlimit),
    (78, libc::SYS_gettimeofday),
    (79, libc::SYS_settimeofday),
    (80, libc::SYS_getgroups),
    (81, libc::SYS_setgroups),
    (83, libc::SYS_symlink),
    (87, libc::SYS_swapon),
    (88, libc::SYS_reboot),
    (92, libc::SYS_truncate),
    (93, libc::SYS_ftruncate),
    (94, libc::SYS_fchmod),
    (95, libc::SYS_fchown),
    (96, libc::SYS_getpriority),
    (97, libc::SYS_setpriority),
    (99, libc::SYS_statfs),
    (100, libc::SYS_fstatfs),
    (101, libc::SYS_ioperm),
    (103, libc::SYS_syslog),
    (104, libc::SYS_setitimer),
    (105, libc::SYS_getitimer),
    (110, libc::SYS_iopl),
    (111, libc::SYS_vhangup),
    (114, libc::SYS_wait4),
    (115, libc::SYS_swapoff),
    (116, libc::SYS_sysinfo),
    (118, libc::SYS_fsync),
    (120, libc::SYS_clone),
    (121, libc::SYS_setdomainname),
    (124, libc::SYS_adjtimex),
    (128, libc::SYS_init_module),
    (129, libc::SYS_delete_module),
    (131, libc::SYS_quotactl),
    (132, libc::SYS_getpgid),
    (133, libc::SYS_fchdir),
    (136, libc::SYS_personality),
    (138, libc::SYS_setfsuid),
    (139, libc::SYS_setfsgid),
    (141, libc::SYS_getdents),
    (142, libc::SYS_select),
    (143, libc::SYS_flock),
    (144, libc::SYS_msync),
    (147, libc::SYS_getsid),
    (148, libc::SYS_fdatasync),
    (150, libc::SYS_mlock),
    (151, libc::SYS_munlock),
    (152, libc::SYS_mlockall),
    (153, libc::SYS_munlockall),
    (154, libc::SYS_sched_setparam),
    (155, libc::SYS_sched_getparam),
    (156, libc::SYS_sched_setscheduler),
    (157, libc::SYS_sched_getscheduler),
    (158, libc::SYS_sched_yield),
    (159, libc::SYS_sched_get_priority_max),
    (160, libc::SYS_sched_get_priority_min),
    (161, libc::SYS_sched_rr_get_interval),
    (164, libc::SYS_setresuid),
    (165, libc::SYS_getresuid),
    (168, libc::SYS_poll),
    (170, libc::SYS_setresgid),
    (171, libc::SYS_getresgid),
    (176, libc::SYS_rt_sigpending),
    (177, libc::SYS_rt_sigtimedwait),
    (178, libc::SYS_rt_sigqueueinfo),
    (179, libc::SYS_rt_sigsuspend),
    (181, libc::SYS_pwrite64),
    (182, libc::SYS_chown),
    (184, libc::SYS_capget),
    (185, libc::SYS_capset),
    (186, libc::SYS_sigaltstack),
    (187, libc::SYS_sendfile),
    (190, libc::SYS_vfork),
    (198, libc::SYS_lchown),
    (203, libc::SYS_setreuid),
    (204, libc::SYS_setregid),
    (205, libc::SYS_getgroups),
    (207, libc::SYS_fchown),
    (208, libc::SYS_setresuid),
    (209, libc::SYS_getresuid),
    (210, libc::SYS_setresgid),
    (211, libc::SYS_getresgid),
    (212, libc::SYS_chown),
    (213, libc::SYS_setuid),
    (214, libc::SYS_setgid),
    (217, libc::SYS_pivot_root),
    (218, libc::SYS_mincore),
    (220, libc::SYS_getdents64),
    (226, libc::SYS_setxattr),
    (227, libc::SYS_lsetxattr),
    (228, libc::SYS_fsetxattr),
    (229, libc::SYS_getxattr),
    (230, libc::SYS_lgetxattr),
    (231, libc::SYS_fgetxattr),
    (232, libc::SYS_listxattr),
    (233, libc::SYS_llistxattr),
    (234, libc::SYS_flistxattr),
    (235, libc::SYS_removexattr),
    (236, libc::SYS_lremovexattr),
    (237, libc::SYS_fremovexattr),
    (238, libc::SYS_tkill),
    (239, libc::SYS_sendfile),
    (241, libc::SYS_sched_setaffinity),
    (254, libc::SYS_epoll_create),
    (255, libc::SYS_epoll_ctl),
    (256, libc::SYS_epoll_wait),
    (257, libc::SYS_remap_file_pages),
    (259, libc::SYS_timer_create),
    (260, libc::SYS_timer_settime),
    (261, libc::SYS_timer_gettime),
    (262, libc::SYS_timer_getoverrun),
    (263, libc::SYS_timer_delete),
    (264, libc::SYS_clock_settime),
    (265, libc::SYS_clock_gettime),
    (266, libc::SYS_clock_getres),
    (267, libc::SYS_clock_nanosleep),
    (271, libc::SYS_utimes),
    (284, libc::SYS_waitid),
    (289, libc::SYS_ioprio_set),
    (290, libc::SYS_ioprio_get),
    (291, libc::SYS_inotify_init),
    (292, libc::SYS_inotify_add_watch),
    (293, libc::SYS_inotify_rm_watch),
    (296, libc::SYS_mkdirat),
    (297, libc::SYS_mknodat),
    (298, libc::SYS_fchownat),
    (299, libc::SYS_futimesat),
    (301, libc::SYS_unlinkat),
    (302, libc::SYS_renameat),
    (303, libc::SYS_linkat),
    (304, libc::SYS_symlinkat),
    (306, libc::SYS_fchmodat),
    (308, libc::SYS_pselect6),
    (309, libc::SYS_ppoll),
    (310, libc::SYS_unshare),
    (313, libc::SYS_splice),
    (315, libc::SYS_tee),
    (318, libc::SYS_getcpu),
    (319, libc::SYS_epoll_pwait),
    (320, libc::SYS_utimensat),
    (321, libc::SYS_signalfd),
    (322, libc::SYS_timerfd_create),
    (323, libc::SYS_eventfd),
    (325, libc::SYS_timerfd_settime),
    (326, libc::SYS_timerfd_gettime),
    (327, libc::SYS_signalfd4),
    (328, libc::SYS_eventfd2),
    (329, libc::SYS_epoll_create1),
    (330, libc::SYS_dup3),
    (331, libc::SYS_pipe2),
    (332, libc::SYS_inotify_init1),
    (333, libc::SYS_preadv),
    (334, libc::SYS_pwritev),
    (335, libc::SYS_rt_tgsigqueueinfo),
    (336, libc::SYS_perf_event_open),
    (337, libc::SYS_recvmmsg),
    (341, libc::SYS_name_to_handle_at),
    (342, libc::SYS_open_by_handle_at),
    (343, libc::SYS_clock_adjtime),
    (345, libc::SYS_sendmmsg),
    (346, libc::SYS_setns),
    (347, libc::SYS_process_vm_readv),
    (348, libc::SYS_process_vm_writev),
    (350, libc::SYS_finit_module),
    (351, libc::SYS_sched_setattr),
    (352, libc::SYS_sched_getattr),
    (353, libc::SYS_renameat2),
    (354, libc::SYS_seccomp),
    (357, libc::SYS_bpf),
    (358, libc::SYS_execveat),
    (359, libc::SYS_socket),
    (360, libc::SYS_socketpair),
    (361, libc::SYS_bind),
    (362, libc::SYS_connect),
    (363, libc::SYS_listen),
    (364, libc::SYS_accept4),
    (365, libc::SYS_getsockopt),
    (366, libc::SYS_setsockopt),
    (367, libc::SYS_getsockname),
    (368, libc::SYS_getpeername),
    (369, libc::SYS_sendto),
    (370, libc::SYS_sendmsg),
    (371, libc::SYS_recvfrom),
    (372, libc::SYS_recvmsg),
    (373, libc::SYS_shutdown),
    (376, libc::SYS_mlock2),
    (377, libc::SYS_copy_file_range),
    (378, libc::SYS_preadv2),
    (379, libc::SYS_pwritev2),
    (380, libc::SYS_pkey_mprotect),
    (381, libc::SYS_pkey_alloc),
    (382, libc::SYS_pkey_free),
    (403, libc::SYS_clock_gettime),
    (404, libc::SYS_clock_settime),
    (405, libc::SYS_clock_adjtime),
    (406, libc::SYS_clock_getres),
    (407, libc::SYS_clock_nanosleep),
    (408, libc::SYS_timer_gettime),
    (409, libc::SYS_timer_settime),
    (410, libc::SYS_timerfd_gettime),
    (411, libc::SYS_timerfd_settime),
    (412, libc::SYS_utimensat),
    (413, libc::SYS_pselect6),
    (414, libc::SYS_ppoll),
    (417, libc::SYS_recvmmsg),
    (421, libc::SYS_rt_sigtimedwait),
    (422, libc::SYS_futex),
    (423, libc::SYS_sched_rr_get_interval),
];

/// Those of another form.
const OTHER_FORMS: &[(i64, i64)] = &[
    // waitpid.
    (7, libc::SYS_wait4),
    // oldstat, oldfstat, oldlstat.
    (18, libc::SYS_stat),
    (28, libc::SYS_fstat),
    (84, libc::SYS_lstat),
    // umount.
    (22, libc::SYS_umount2),
    // stime.
    (25, libc::SYS_settimeofday),
    // nice.
    (34, libc::SYS_setpriority),
    // signal, sigaction.
    (48, libc::SYS_rt_sigaction),
    (67, libc::SYS_rt_sigaction),
    // oldolduname, olduname.
    (59, libc::SYS_uname),
    (109, libc::SYS_uname),
    // sgetmask, ssetmask, sigprocmask.
    (68, libc::SYS_rt_sigprocmask),
    (69, libc::SYS_rt_sigprocmask),
    (126, libc::SYS_rt_sigprocmask),
    // sigsuspend, sigpending, sigreturn.
    (72, libc::SYS_rt_sigsuspend),
    (73, libc::SYS_rt_sigpending),
    (119, libc::SYS_rt_sigreturn),
    // The older getrlimit.
    (76, libc::SYS_getrlimit),
    // select and mmap with all their arguments in memory.
    (82, libc::SYS_select),
    (90, libc::SYS_mmap),
    // readdir.
    (89, libc::SYS_getdents),
    // truncate64, ftruncate64 and others with halves of sizes.
    (193, libc::SYS_truncate),
    (194, libc::SYS_ftruncate),
    (225, libc::SYS_readahead),
    (250, libc::SYS_fadvise64),
    (272, libc::SYS_fadvise64),
    (314, libc::SYS_sync_file_range),
    (324, libc::SYS_fallocate),
    // statfs64, fstatfs64.
    (268, libc::SYS_statfs),
    (269, libc::SYS_fstatfs),
    // set_thread_area, get_thread_area: where the thread's memory is.
    (243, libc::SYS_arch_prctl),
    (244, libc::SYS_arch_prctl),
];

/// socketcall(2): its first argument (SYS_* in linux/net.h) says which call it is, whose arguments are in memory.
const SOCKETCALL: i64 = 102;
/// Its calls.
const SOCKETS: &[(u32, i64)] = &[
    (1, libc::SYS_socket),
    (2, libc::SYS_bind),
    (3, libc::SYS_connect),
    (4, libc::SYS_listen),
    (5, libc::SYS_accept),
    (6, libc::SYS_getsockname),
    (7, libc::SYS_getpeername),
    (8, libc::SYS_socketpair),
    // send, recv.
    (9, libc::SYS_sendto),
    (10, libc::SYS_recvfrom),
    (11, libc::SYS_sendto),
    (12, libc::SYS_recvfrom),
    (13, libc::SYS_shutdown),
    (14, libc::SYS_setsockopt),
    (15, libc::SYS_getsockopt),
    (16, libc::SYS_sendmsg),
    (17, libc::SYS_recvmsg),
    (18, libc::SYS_accept4),
    (19, libc::SYS_recvmmsg),
    (20, libc::SYS_sendmmsg),
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

/// See [`crate::machine::Machine::other_forms`].
pub fn other_forms(number: i64) -> impl Iterator<Item = (i64, Option<u32>)> {
    let forms = OTHER_FORMS.iter().filter(move |pair| pair.1 == number).map(|pair| (pair.0, None));
    let sockets = SOCKETS.iter().filter(move |pair| pair.1 == number);
    forms.chain(sockets.map(|pair| (SOCKETCALL, Some(pair.0))))
}

/// All numbers of calls of the same form that do it.
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
        assert_eq!((own(libc::SYS_mmap), own(libc::SYS_fork)), (Some(MMAP2), Some(2)));
        assert_eq!((own(libc::SYS_futex), own(libc::SYS_mq_open)), (Some(240), None));
        assert_eq!(own(of_kernel(SET_THREAD_AREA)), Some(SET_THREAD_AREA));
        assert_eq!(own(libc::SYS_clone3), Some(libc::SYS_clone3));
    }

    #[test]
    fn a_tracer_is_not_told_of_other_forms() {
        let forms = |number| other_forms(number).collect::<Vec<_>>();
        assert_eq!(forms(libc::SYS_mmap), [(90, None)]);
        assert_eq!(forms(libc::SYS_socket), [(SOCKETCALL, Some(1))]);
        assert_eq!(forms(libc::SYS_clone), []);
        for number in OTHER_FORMS.iter().map(|pair| pair.0).chain([SOCKETCALL]) {
            assert_eq!(of_kernel(number), number | OWN);
        }
    }

    #[test]
    fn no_number_is_listed_twice() {
        let pairs = NUMBERS.iter().chain(OTHER_FORMS);
        let mut numbers: Vec<i64> = pairs.map(|pair| pair.0).chain([SOCKETCALL]).collect();
        numbers.sort_unstable();
        assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
