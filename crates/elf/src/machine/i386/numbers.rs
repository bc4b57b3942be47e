//! Numbers of system calls (arch/x86/entry/syscalls/syscall_32.tbl), and those of the calls that do the same on the
//! kernel of 64 bits that runs them (syscall_64.tbl): what a tracer is told of a call is the latter, which are
//! the ones that it was compiled with, and what a filter permits is said by them.
//!
//! A call has another *form* if it has not the same arguments in the same places: it takes them from memory, in two
//! halves, or has others. Of those a tracer is not told, and a filter cannot look at what they are asked for.

use crate::machine::numbers as host;

/// Added to the numbers of calls that only this machine has.
const OWN: i64 = 1 << 32;
/// From here on all machines have the same numbers.
const COMMON: i64 = 424;
/// mmap2(2): like mmap(2), but the offset counts pages of 4 KiB.
pub const MMAP2: i64 = 192;

/// Those of the same form, first what loaders make and tracers have made. Where several of this machine's do what one
/// of the other's does, the one to make is the first. (Structures may be laid out differently.)
const NUMBERS: &[(i64, i64)] = &[
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
    // What other programs make. From 198 to 216 with users of 32 bits, from 403 to 423 with times of 64.
    (0, host::SYS_restart_syscall),
    (2, host::SYS_fork),
    (8, host::SYS_creat),
    (9, host::SYS_link),
    (10, host::SYS_unlink),
    (12, host::SYS_chdir),
    (13, host::SYS_time),
    (14, host::SYS_mknod),
    (15, host::SYS_chmod),
    (16, host::SYS_lchown),
    (21, host::SYS_mount),
    (23, host::SYS_setuid),
    (26, host::SYS_ptrace),
    (27, host::SYS_alarm),
    (29, host::SYS_pause),
    (30, host::SYS_utime),
    (37, host::SYS_kill),
    (38, host::SYS_rename),
    (39, host::SYS_mkdir),
    (40, host::SYS_rmdir),
    (41, host::SYS_dup),
    (42, host::SYS_pipe),
    (43, host::SYS_times),
    (46, host::SYS_setgid),
    (51, host::SYS_acct),
    (52, host::SYS_umount2),
    (54, host::SYS_ioctl),
    (57, host::SYS_setpgid),
    (60, host::SYS_umask),
    (61, host::SYS_chroot),
    (63, host::SYS_dup2),
    (64, host::SYS_getppid),
    (65, host::SYS_getpgrp),
    (66, host::SYS_setsid),
    (70, host::SYS_setreuid),
    (71, host::SYS_setregid),
    (74, host::SYS_sethostname),
    (75, host::SYS_setrlimit),
    (78, host::SYS_gettimeofday),
    (79, host::SYS_settimeofday),
    (80, host::SYS_getgroups),
    (81, host::SYS_setgroups),
    (83, host::SYS_symlink),
    (87, host::SYS_swapon),
    (88, host::SYS_reboot),
    (92, host::SYS_truncate),
    (93, host::SYS_ftruncate),
    (94, host::SYS_fchmod),
    (95, host::SYS_fchown),
    (96, host::SYS_getpriority),
    (97, host::SYS_setpriority),
    (99, host::SYS_statfs),
    (100, host::SYS_fstatfs),
    (101, host::SYS_ioperm),
    (103, host::SYS_syslog),
    (104, host::SYS_setitimer),
    (105, host::SYS_getitimer),
    (110, host::SYS_iopl),
    (111, host::SYS_vhangup),
    (114, host::SYS_wait4),
    (115, host::SYS_swapoff),
    (116, host::SYS_sysinfo),
    (118, host::SYS_fsync),
    (120, host::SYS_clone),
    (121, host::SYS_setdomainname),
    (124, host::SYS_adjtimex),
    (128, host::SYS_init_module),
    (129, host::SYS_delete_module),
    (131, host::SYS_quotactl),
    (132, host::SYS_getpgid),
    (133, host::SYS_fchdir),
    (136, host::SYS_personality),
    (138, host::SYS_setfsuid),
    (139, host::SYS_setfsgid),
    (141, host::SYS_getdents),
    (142, host::SYS_select),
    (143, host::SYS_flock),
    (144, host::SYS_msync),
    (147, host::SYS_getsid),
    (148, host::SYS_fdatasync),
    (150, host::SYS_mlock),
    (151, host::SYS_munlock),
    (152, host::SYS_mlockall),
    (153, host::SYS_munlockall),
    (154, host::SYS_sched_setparam),
    (155, host::SYS_sched_getparam),
    (156, host::SYS_sched_setscheduler),
    (157, host::SYS_sched_getscheduler),
    (158, host::SYS_sched_yield),
    (159, host::SYS_sched_get_priority_max),
    (160, host::SYS_sched_get_priority_min),
    (161, host::SYS_sched_rr_get_interval),
    (164, host::SYS_setresuid),
    (165, host::SYS_getresuid),
    (168, host::SYS_poll),
    (170, host::SYS_setresgid),
    (171, host::SYS_getresgid),
    (176, host::SYS_rt_sigpending),
    (177, host::SYS_rt_sigtimedwait),
    (178, host::SYS_rt_sigqueueinfo),
    (179, host::SYS_rt_sigsuspend),
    (181, host::SYS_pwrite64),
    (182, host::SYS_chown),
    (184, host::SYS_capget),
    (185, host::SYS_capset),
    (186, host::SYS_sigaltstack),
    (187, host::SYS_sendfile),
    (190, host::SYS_vfork),
    (198, host::SYS_lchown),
    (203, host::SYS_setreuid),
    (204, host::SYS_setregid),
    (205, host::SYS_getgroups),
    (207, host::SYS_fchown),
    (208, host::SYS_setresuid),
    (209, host::SYS_getresuid),
    (210, host::SYS_setresgid),
    (211, host::SYS_getresgid),
    (212, host::SYS_chown),
    (213, host::SYS_setuid),
    (214, host::SYS_setgid),
    (217, host::SYS_pivot_root),
    (218, host::SYS_mincore),
    (220, host::SYS_getdents64),
    (226, host::SYS_setxattr),
    (227, host::SYS_lsetxattr),
    (228, host::SYS_fsetxattr),
    (229, host::SYS_getxattr),
    (230, host::SYS_lgetxattr),
    (231, host::SYS_fgetxattr),
    (232, host::SYS_listxattr),
    (233, host::SYS_llistxattr),
    (234, host::SYS_flistxattr),
    (235, host::SYS_removexattr),
    (236, host::SYS_lremovexattr),
    (237, host::SYS_fremovexattr),
    (238, host::SYS_tkill),
    (239, host::SYS_sendfile),
    (241, host::SYS_sched_setaffinity),
    (254, host::SYS_epoll_create),
    (255, host::SYS_epoll_ctl),
    (256, host::SYS_epoll_wait),
    (257, host::SYS_remap_file_pages),
    (259, host::SYS_timer_create),
    (260, host::SYS_timer_settime),
    (261, host::SYS_timer_gettime),
    (262, host::SYS_timer_getoverrun),
    (263, host::SYS_timer_delete),
    (264, host::SYS_clock_settime),
    (265, host::SYS_clock_gettime),
    (266, host::SYS_clock_getres),
    (267, host::SYS_clock_nanosleep),
    (271, host::SYS_utimes),
    (284, host::SYS_waitid),
    (289, host::SYS_ioprio_set),
    (290, host::SYS_ioprio_get),
    (291, host::SYS_inotify_init),
    (292, host::SYS_inotify_add_watch),
    (293, host::SYS_inotify_rm_watch),
    (296, host::SYS_mkdirat),
    (297, host::SYS_mknodat),
    (298, host::SYS_fchownat),
    (299, host::SYS_futimesat),
    (301, host::SYS_unlinkat),
    (302, host::SYS_renameat),
    (303, host::SYS_linkat),
    (304, host::SYS_symlinkat),
    (306, host::SYS_fchmodat),
    (308, host::SYS_pselect6),
    (309, host::SYS_ppoll),
    (310, host::SYS_unshare),
    (313, host::SYS_splice),
    (315, host::SYS_tee),
    (318, host::SYS_getcpu),
    (319, host::SYS_epoll_pwait),
    (320, host::SYS_utimensat),
    (321, host::SYS_signalfd),
    (322, host::SYS_timerfd_create),
    (323, host::SYS_eventfd),
    (325, host::SYS_timerfd_settime),
    (326, host::SYS_timerfd_gettime),
    (327, host::SYS_signalfd4),
    (328, host::SYS_eventfd2),
    (329, host::SYS_epoll_create1),
    (330, host::SYS_dup3),
    (331, host::SYS_pipe2),
    (332, host::SYS_inotify_init1),
    (333, host::SYS_preadv),
    (334, host::SYS_pwritev),
    (335, host::SYS_rt_tgsigqueueinfo),
    (336, host::SYS_perf_event_open),
    (337, host::SYS_recvmmsg),
    (341, host::SYS_name_to_handle_at),
    (342, host::SYS_open_by_handle_at),
    (343, host::SYS_clock_adjtime),
    (345, host::SYS_sendmmsg),
    (346, host::SYS_setns),
    (347, host::SYS_process_vm_readv),
    (348, host::SYS_process_vm_writev),
    (350, host::SYS_finit_module),
    (351, host::SYS_sched_setattr),
    (352, host::SYS_sched_getattr),
    (353, host::SYS_renameat2),
    (354, host::SYS_seccomp),
    (357, host::SYS_bpf),
    (358, host::SYS_execveat),
    (359, host::SYS_socket),
    (360, host::SYS_socketpair),
    (361, host::SYS_bind),
    (362, host::SYS_connect),
    (363, host::SYS_listen),
    (364, host::SYS_accept4),
    (365, host::SYS_getsockopt),
    (366, host::SYS_setsockopt),
    (367, host::SYS_getsockname),
    (368, host::SYS_getpeername),
    (369, host::SYS_sendto),
    (370, host::SYS_sendmsg),
    (371, host::SYS_recvfrom),
    (372, host::SYS_recvmsg),
    (373, host::SYS_shutdown),
    (376, host::SYS_mlock2),
    (377, host::SYS_copy_file_range),
    (378, host::SYS_preadv2),
    (379, host::SYS_pwritev2),
    (380, host::SYS_pkey_mprotect),
    (381, host::SYS_pkey_alloc),
    (382, host::SYS_pkey_free),
    (403, host::SYS_clock_gettime),
    (404, host::SYS_clock_settime),
    (405, host::SYS_clock_adjtime),
    (406, host::SYS_clock_getres),
    (407, host::SYS_clock_nanosleep),
    (408, host::SYS_timer_gettime),
    (409, host::SYS_timer_settime),
    (410, host::SYS_timerfd_gettime),
    (411, host::SYS_timerfd_settime),
    (412, host::SYS_utimensat),
    (413, host::SYS_pselect6),
    (414, host::SYS_ppoll),
    (417, host::SYS_recvmmsg),
    (421, host::SYS_rt_sigtimedwait),
    (422, host::SYS_futex),
    (423, host::SYS_sched_rr_get_interval),
];

/// Those of another form.
const OTHER_FORMS: &[(i64, i64)] = &[
    // waitpid.
    (7, host::SYS_wait4),
    // oldstat, oldfstat, oldlstat.
    (18, host::SYS_stat),
    (28, host::SYS_fstat),
    (84, host::SYS_lstat),
    // umount.
    (22, host::SYS_umount2),
    // stime.
    (25, host::SYS_settimeofday),
    // nice.
    (34, host::SYS_setpriority),
    // signal, sigaction.
    (48, host::SYS_rt_sigaction),
    (67, host::SYS_rt_sigaction),
    // oldolduname, olduname.
    (59, host::SYS_uname),
    (109, host::SYS_uname),
    // sgetmask, ssetmask, sigprocmask.
    (68, host::SYS_rt_sigprocmask),
    (69, host::SYS_rt_sigprocmask),
    (126, host::SYS_rt_sigprocmask),
    // sigsuspend, sigpending, sigreturn.
    (72, host::SYS_rt_sigsuspend),
    (73, host::SYS_rt_sigpending),
    (119, host::SYS_rt_sigreturn),
    // The older getrlimit.
    (76, host::SYS_getrlimit),
    // select and mmap with all their arguments in memory.
    (82, host::SYS_select),
    (90, host::SYS_mmap),
    // readdir.
    (89, host::SYS_getdents),
    // truncate64, ftruncate64 and others with halves of sizes.
    (193, host::SYS_truncate),
    (194, host::SYS_ftruncate),
    (225, host::SYS_readahead),
    (250, host::SYS_fadvise64),
    (272, host::SYS_fadvise64),
    (314, host::SYS_sync_file_range),
    (324, host::SYS_fallocate),
    // statfs64, fstatfs64.
    (268, host::SYS_statfs),
    (269, host::SYS_fstatfs),
    // set_thread_area, get_thread_area: where the thread's memory is.
    (243, host::SYS_arch_prctl),
    (244, host::SYS_arch_prctl),
];

/// socketcall(2): its first argument (SYS_* in linux/net.h) says which call it is, whose arguments are in memory.
const SOCKETCALL: i64 = 102;
/// Its calls.
const SOCKETS: &[(u32, i64)] = &[
    (1, host::SYS_socket),
    (2, host::SYS_bind),
    (3, host::SYS_connect),
    (4, host::SYS_listen),
    (5, host::SYS_accept),
    (6, host::SYS_getsockname),
    (7, host::SYS_getpeername),
    (8, host::SYS_socketpair),
    // send, recv.
    (9, host::SYS_sendto),
    (10, host::SYS_recvfrom),
    (11, host::SYS_sendto),
    (12, host::SYS_recvfrom),
    (13, host::SYS_shutdown),
    (14, host::SYS_setsockopt),
    (15, host::SYS_getsockopt),
    (16, host::SYS_sendmsg),
    (17, host::SYS_recvmsg),
    (18, host::SYS_accept4),
    (19, host::SYS_recvmmsg),
    (20, host::SYS_sendmmsg),
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
        assert_eq!((own(host::SYS_mmap), own(host::SYS_fork)), (Some(MMAP2), Some(2)));
        assert_eq!((own(host::SYS_futex), own(host::SYS_mq_open)), (Some(240), None));
        assert_eq!(own(of_kernel(SET_THREAD_AREA)), Some(SET_THREAD_AREA));
        assert_eq!(own(host::SYS_clone3), Some(host::SYS_clone3));
    }

    #[test]
    fn a_tracer_is_not_told_of_other_forms() {
        let forms = |number| other_forms(number).collect::<Vec<_>>();
        assert_eq!(forms(host::SYS_mmap), [(90, None)]);
        assert_eq!(forms(host::SYS_socket), [(SOCKETCALL, Some(1))]);
        assert_eq!(forms(host::SYS_clone), []);
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
