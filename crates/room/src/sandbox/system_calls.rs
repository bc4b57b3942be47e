//! Which system calls a program may make in a room, by list: what is not named here is not there (ENOSYS), whatever
//! Linux will have next. The list is the same for calls as every machine numbers them whose programs run here
//! ([`super::by_machine`]); what has other numbers is on no list (x32).
//!
//! The list is what ordinary programs use that reaches nothing beyond the room, and holds no memory that is in no
//! process. So no io_uring, no memory files, no System V IPC, no namespaces, keys, BPF, tracing.

use nix::libc::{self, c_long};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule,
};
use statify_elf::machine::numbers;

use super::by_machine::{Result, Rules, Unseen, filter};

/// Whatever their arguments are.
const ALLOWED: &[&[c_long]] = &[FILES, DESCRIPTORS, SOCKETS, MEMORY, PROCESSES, IDENTITY, TIME];

/// By name. Where they may not be changed, the file system says so.
const FILES: &[c_long] = &[
    numbers::SYS_open,
    numbers::SYS_openat,
    numbers::SYS_openat2,
    numbers::SYS_creat,
    numbers::SYS_stat,
    numbers::SYS_lstat,
    numbers::SYS_newfstatat,
    numbers::SYS_statx,
    numbers::SYS_access,
    numbers::SYS_faccessat,
    numbers::SYS_faccessat2,
    numbers::SYS_readlink,
    numbers::SYS_readlinkat,
    numbers::SYS_statfs,
    numbers::SYS_getcwd,
    numbers::SYS_chdir,
    numbers::SYS_umask,
    numbers::SYS_mkdir,
    numbers::SYS_mkdirat,
    numbers::SYS_rmdir,
    numbers::SYS_mknod,
    numbers::SYS_mknodat,
    numbers::SYS_rename,
    numbers::SYS_renameat,
    numbers::SYS_renameat2,
    numbers::SYS_link,
    numbers::SYS_linkat,
    numbers::SYS_symlink,
    numbers::SYS_symlinkat,
    numbers::SYS_unlink,
    numbers::SYS_unlinkat,
    numbers::SYS_chmod,
    numbers::SYS_fchmodat,
    numbers::SYS_fchmodat2,
    numbers::SYS_chown,
    numbers::SYS_lchown,
    numbers::SYS_fchownat,
    numbers::SYS_utime,
    numbers::SYS_utimes,
    numbers::SYS_futimesat,
    numbers::SYS_utimensat,
    numbers::SYS_truncate,
    numbers::SYS_getxattr,
    numbers::SYS_lgetxattr,
    numbers::SYS_listxattr,
    numbers::SYS_llistxattr,
    numbers::SYS_setxattr,
    numbers::SYS_lsetxattr,
    numbers::SYS_removexattr,
    numbers::SYS_lremovexattr,
    numbers::SYS_inotify_init,
    numbers::SYS_inotify_init1,
    numbers::SYS_inotify_add_watch,
    numbers::SYS_inotify_rm_watch,
    numbers::SYS_name_to_handle_at,
    numbers::SYS_landlock_create_ruleset,
    numbers::SYS_landlock_add_rule,
    numbers::SYS_landlock_restrict_self,
];

const DESCRIPTORS: &[c_long] = &[
    numbers::SYS_read,
    numbers::SYS_readv,
    numbers::SYS_pread64,
    numbers::SYS_preadv,
    numbers::SYS_preadv2,
    numbers::SYS_write,
    numbers::SYS_writev,
    numbers::SYS_pwrite64,
    numbers::SYS_pwritev,
    numbers::SYS_pwritev2,
    numbers::SYS_lseek,
    numbers::SYS_close,
    numbers::SYS_close_range,
    numbers::SYS_dup,
    numbers::SYS_dup2,
    numbers::SYS_dup3,
    numbers::SYS_fcntl,
    numbers::SYS_flock,
    numbers::SYS_ioctl,
    numbers::SYS_fstat,
    numbers::SYS_fstatfs,
    numbers::SYS_getdents,
    numbers::SYS_getdents64,
    numbers::SYS_fchdir,
    numbers::SYS_fchmod,
    numbers::SYS_fchown,
    numbers::SYS_ftruncate,
    numbers::SYS_fallocate,
    numbers::SYS_fadvise64,
    numbers::SYS_readahead,
    numbers::SYS_fsync,
    numbers::SYS_fdatasync,
    numbers::SYS_sync_file_range,
    numbers::SYS_fgetxattr,
    numbers::SYS_flistxattr,
    numbers::SYS_fsetxattr,
    numbers::SYS_fremovexattr,
    numbers::SYS_sendfile,
    numbers::SYS_copy_file_range,
    numbers::SYS_splice,
    numbers::SYS_tee,
    numbers::SYS_pipe,
    numbers::SYS_pipe2,
    numbers::SYS_poll,
    numbers::SYS_ppoll,
    numbers::SYS_select,
    numbers::SYS_pselect6,
    numbers::SYS_epoll_create,
    numbers::SYS_epoll_create1,
    numbers::SYS_epoll_ctl,
    numbers::SYS_epoll_wait,
    numbers::SYS_epoll_pwait,
    numbers::SYS_epoll_pwait2,
    numbers::SYS_eventfd,
    numbers::SYS_eventfd2,
    numbers::SYS_signalfd,
    numbers::SYS_signalfd4,
    numbers::SYS_timerfd_create,
    numbers::SYS_timerfd_settime,
    numbers::SYS_timerfd_gettime,
];

/// Once there is one.
const SOCKETS: &[c_long] = &[
    numbers::SYS_connect,
    numbers::SYS_bind,
    numbers::SYS_listen,
    numbers::SYS_accept,
    numbers::SYS_accept4,
    numbers::SYS_sendto,
    numbers::SYS_sendmsg,
    numbers::SYS_sendmmsg,
    numbers::SYS_recvfrom,
    numbers::SYS_recvmsg,
    numbers::SYS_recvmmsg,
    numbers::SYS_shutdown,
    numbers::SYS_getsockname,
    numbers::SYS_getpeername,
    numbers::SYS_getsockopt,
    numbers::SYS_setsockopt,
];

/// A process's own, which ends with it.
const MEMORY: &[c_long] = &[
    numbers::SYS_brk,
    numbers::SYS_mmap,
    numbers::SYS_munmap,
    numbers::SYS_mremap,
    numbers::SYS_mprotect,
    numbers::SYS_madvise,
    numbers::SYS_msync,
    numbers::SYS_mincore,
    numbers::SYS_mlock,
    numbers::SYS_mlock2,
    numbers::SYS_mlockall,
    numbers::SYS_munlock,
    numbers::SYS_munlockall,
    numbers::SYS_mseal,
    MAP_SHADOW_STACK,
    numbers::SYS_remap_file_pages,
    numbers::SYS_pkey_alloc,
    numbers::SYS_pkey_free,
    numbers::SYS_pkey_mprotect,
    numbers::SYS_membarrier,
];

/// Linux 6.6; the C library makes its shadow stacks by it.
const MAP_SHADOW_STACK: c_long = 453;

/// Those of the room, threads, and signals to them.
const PROCESSES: &[c_long] = &[
    numbers::SYS_fork,
    numbers::SYS_vfork,
    numbers::SYS_execve,
    numbers::SYS_execveat,
    numbers::SYS_exit,
    numbers::SYS_exit_group,
    numbers::SYS_wait4,
    numbers::SYS_waitid,
    numbers::SYS_kill,
    numbers::SYS_tkill,
    numbers::SYS_tgkill,
    numbers::SYS_pidfd_open,
    numbers::SYS_pidfd_send_signal,
    numbers::SYS_pause,
    numbers::SYS_rt_sigaction,
    numbers::SYS_rt_sigprocmask,
    numbers::SYS_rt_sigreturn,
    numbers::SYS_rt_sigpending,
    numbers::SYS_rt_sigsuspend,
    numbers::SYS_rt_sigtimedwait,
    numbers::SYS_rt_sigqueueinfo,
    numbers::SYS_rt_tgsigqueueinfo,
    numbers::SYS_sigaltstack,
    numbers::SYS_restart_syscall,
    numbers::SYS_futex,
    numbers::SYS_futex_waitv,
    numbers::SYS_set_robust_list,
    numbers::SYS_get_robust_list,
    numbers::SYS_set_tid_address,
    numbers::SYS_rseq,
    numbers::SYS_arch_prctl,
    numbers::SYS_prctl,
    numbers::SYS_seccomp,
    numbers::SYS_personality,
    numbers::SYS_getpriority,
    numbers::SYS_setpriority,
    numbers::SYS_ioprio_get,
    numbers::SYS_ioprio_set,
    numbers::SYS_sched_yield,
    numbers::SYS_sched_getaffinity,
    numbers::SYS_sched_setaffinity,
    numbers::SYS_sched_getparam,
    numbers::SYS_sched_setparam,
    numbers::SYS_sched_getscheduler,
    numbers::SYS_sched_setscheduler,
    numbers::SYS_sched_getattr,
    numbers::SYS_sched_setattr,
    numbers::SYS_sched_get_priority_max,
    numbers::SYS_sched_get_priority_min,
    numbers::SYS_sched_rr_get_interval,
    numbers::SYS_getcpu,
    numbers::SYS_getrlimit,
    numbers::SYS_setrlimit,
    numbers::SYS_prlimit64,
    numbers::SYS_getrusage,
    numbers::SYS_times,
];

/// There are no rights to gain by them.
const IDENTITY: &[c_long] = &[
    numbers::SYS_getpid,
    numbers::SYS_gettid,
    numbers::SYS_getppid,
    numbers::SYS_getpgid,
    numbers::SYS_getpgrp,
    numbers::SYS_setpgid,
    numbers::SYS_getsid,
    numbers::SYS_setsid,
    numbers::SYS_getuid,
    numbers::SYS_geteuid,
    numbers::SYS_getresuid,
    numbers::SYS_getgid,
    numbers::SYS_getegid,
    numbers::SYS_getresgid,
    numbers::SYS_getgroups,
    numbers::SYS_setuid,
    numbers::SYS_setreuid,
    numbers::SYS_setresuid,
    numbers::SYS_setfsuid,
    numbers::SYS_setgid,
    numbers::SYS_setregid,
    numbers::SYS_setresgid,
    numbers::SYS_setfsgid,
    numbers::SYS_setgroups,
    numbers::SYS_capget,
    numbers::SYS_capset,
    numbers::SYS_uname,
    numbers::SYS_sysinfo,
];

/// To be told it, and to wait.
const TIME: &[c_long] = &[
    numbers::SYS_time,
    numbers::SYS_gettimeofday,
    numbers::SYS_clock_gettime,
    numbers::SYS_clock_getres,
    numbers::SYS_clock_nanosleep,
    numbers::SYS_nanosleep,
    numbers::SYS_adjtimex,
    numbers::SYS_clock_adjtime,
    numbers::SYS_alarm,
    numbers::SYS_getitimer,
    numbers::SYS_setitimer,
    numbers::SYS_timer_create,
    numbers::SYS_timer_delete,
    numbers::SYS_timer_gettime,
    numbers::SYS_timer_settime,
    numbers::SYS_timer_getoverrun,
    numbers::SYS_getrandom,
];

/// What answers EPERM instead of ENOSYS, as the kernel does to whoever has no rights: programs say so then as they
/// do outside. Only a matter of words; they are on no list.
const NOT_PERMITTED: &[c_long] = &[
    numbers::SYS_acct,
    numbers::SYS_bpf,
    numbers::SYS_chroot,
    numbers::SYS_clock_settime,
    numbers::SYS_delete_module,
    numbers::SYS_finit_module,
    numbers::SYS_init_module,
    numbers::SYS_ioperm,
    numbers::SYS_iopl,
    numbers::SYS_mount,
    numbers::SYS_open_by_handle_at,
    numbers::SYS_perf_event_open,
    numbers::SYS_pivot_root,
    numbers::SYS_process_vm_readv,
    numbers::SYS_process_vm_writev,
    numbers::SYS_ptrace,
    numbers::SYS_quotactl,
    numbers::SYS_reboot,
    numbers::SYS_setdomainname,
    numbers::SYS_sethostname,
    numbers::SYS_setns,
    numbers::SYS_settimeofday,
    numbers::SYS_swapoff,
    numbers::SYS_swapon,
    numbers::SYS_syslog,
    numbers::SYS_umount2,
    numbers::SYS_unshare,
    numbers::SYS_vhangup,
];

/// Namespaces, which would give capabilities in them. clone3(2) has its flags in memory, where no filter sees them: it
/// is not there, and C libraries use clone(2) then.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// What socket(2) makes: in a network of its own they lead nowhere. Not AF_UNIX, since the path of one may be a running
/// service's; and no others, which load modules into the kernel, or reach the hypervisor.
const FAMILIES: [(i32, &[i32]); 3] = [
    (libc::AF_INET, &[libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_RAW]),
    (libc::AF_INET6, &[libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_RAW]),
    (libc::AF_NETLINK, &[libc::SOCK_DGRAM, libc::SOCK_RAW]),
];
/// Of the internet's; for the same reason.
const PROTOCOLS: [i32; 6] = [
    0,
    libc::IPPROTO_ICMP,
    libc::IPPROTO_TCP,
    libc::IPPROTO_UDP,
    libc::IPPROTO_ICMPV6,
    libc::IPPROTO_RAW,
];
/// What socketpair(2) makes: these two ends stay connected to each other (unix(7)). One of datagrams may be
/// connected to another socket, or send to it.
const PAIRS: [i32; 2] = [libc::SOCK_STREAM, libc::SOCK_SEQPACKET];
/// A socket's type is this much of the argument.
const TYPE: i32 = 0xf;

/// The filters, all of which apply. Of two that refuse, the later says with which error.
pub fn filters() -> Result<Vec<BpfProgram>> {
    let permit =
        |rules| filter(&rules, Unseen::IfUnconditional, error(libc::ENOSYS), SeccompAction::Allow);
    let refuse = |rules, errno| filter(&rules, Unseen::Always, SeccompAction::Allow, error(errno));
    Ok(vec![
        permit(allowed()?)?,
        refuse(other_protocols()?, libc::EPROTONOSUPPORT)?,
        refuse(other_families()?, libc::EAFNOSUPPORT)?,
        refuse(not_permitted()?, libc::EPERM)?,
    ])
}

fn error(errno: i32) -> SeccompAction {
    SeccompAction::Errno(errno as u32)
}

fn allowed() -> Result<Rules> {
    let mut rules: Rules = ALLOWED
        .iter()
        .flat_map(|list| list.iter())
        .filter(is_there)
        .map(|&call| (call, Vec::new()))
        .collect();
    let sockets =
        FAMILIES.iter().flat_map(|&(family, types)| types.iter().map(move |kind| (family, *kind)));
    let sockets = sockets.map(|(family, kind)| rule([equal(0, family), masked(1, TYPE, kind)]));
    rules.insert(numbers::SYS_socket, sockets.collect::<Result<_>>()?);
    let pairs = PAIRS.map(|kind| rule([equal(0, libc::AF_UNIX), masked(1, TYPE, kind)]));
    rules.insert(numbers::SYS_socketpair, pairs.into_iter().collect::<Result<_>>()?);
    let namespaces = NAMESPACES.iter().fold(0, |all, flag| all | flag);
    rules.insert(numbers::SYS_clone, vec![rule([masked(0, namespaces, 0)])?]);
    Ok(rules)
}

fn other_families() -> Result<Rules> {
    let others = FAMILIES.map(|(family, _)| unequal(0, family));
    Ok([(numbers::SYS_socket, vec![rule(others)?])].into())
}

fn other_protocols() -> Result<Rules> {
    let internet = PROTOCOLS.map(|protocol| unequal(2, protocol));
    let internet = rule([unequal(0, libc::AF_NETLINK)].into_iter().chain(internet))?;
    let netlink = rule([equal(0, libc::AF_NETLINK), unequal(2, libc::NETLINK_ROUTE)])?;
    Ok([(numbers::SYS_socket, vec![internet, netlink])].into())
}

fn not_permitted() -> Result<Rules> {
    let mut rules: Rules =
        NOT_PERMITTED.iter().filter(is_there).map(|&call| (call, Vec::new())).collect();
    let namespaces = NAMESPACES.map(|flag| rule([masked(0, flag, flag)]));
    rules.insert(numbers::SYS_clone, namespaces.into_iter().collect::<Result<_>>()?);
    Ok(rules)
}

/// Whether this machine's kernels have the call: see [`numbers`].
fn is_there(call: &&c_long) -> bool {
    **call >= 0
}

/// All of them must hold.
fn rule(conditions: impl IntoIterator<Item = Result<SeccompCondition>>) -> Result<SeccompRule> {
    SeccompRule::new(conditions.into_iter().collect::<Result<_>>()?)
}

fn equal(argument: u8, value: i32) -> Result<SeccompCondition> {
    condition(argument, SeccompCmpOp::Eq, value)
}

fn unequal(argument: u8, value: i32) -> Result<SeccompCondition> {
    condition(argument, SeccompCmpOp::Ne, value)
}

fn masked(argument: u8, mask: i32, value: i32) -> Result<SeccompCondition> {
    condition(argument, SeccompCmpOp::MaskedEq(u64::from(mask as u32)), value)
}

/// The kernel takes these arguments as 32 bits, whatever the others are.
fn condition(argument: u8, operator: SeccompCmpOp, value: i32) -> Result<SeccompCondition> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, u64::from(value as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_compile() {
        let sizes: Vec<_> = filters().unwrap().iter().map(Vec::len).collect();
        assert!(sizes[0] > 300, "{sizes:?}");
        // The kernel's limit for one filter, BPF_MAXINSNS (linux/bpf_common.h).
        assert!(sizes.iter().all(|size| *size < 4096), "{sizes:?}");
    }

    #[test]
    fn nothing_is_both_allowed_and_not_permitted() {
        let allowed = allowed().unwrap();
        let both = NOT_PERMITTED.iter().find(|call| allowed.contains_key(call));
        assert_eq!(both, None);
    }
}
