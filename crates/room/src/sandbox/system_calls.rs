//! Which system calls a program may make in a room, by list: what is not named here is not there (ENOSYS), whatever
//! Linux will have next. The list is the same for calls as every machine numbers them whose programs run here
//! ([`super::by_machine`]); what has other numbers is on no list (x32).
//!
//! The list is what ordinary programs use that reaches nothing beyond the room, and holds no memory that is in no
//! process. So no io_uring, no memory files, no System V IPC, no namespaces, keys, BPF, tracing.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule,
};
use statify_elf::machine::numbers::{self as libc, c_long};

use super::by_machine::{Result, Rules, Unseen, filter};

/// Whatever their arguments are.
const ALLOWED: &[&[c_long]] = &[FILES, DESCRIPTORS, SOCKETS, MEMORY, PROCESSES, IDENTITY, TIME];

/// By name. Where they may not be changed, the file system says so.
const FILES: &[c_long] = &[
    libc::SYS_open,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_creat,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_access,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_statfs,
    libc::SYS_getcwd,
    libc::SYS_chdir,
    libc::SYS_umask,
    libc::SYS_mkdir,
    libc::SYS_mkdirat,
    libc::SYS_rmdir,
    libc::SYS_mknod,
    libc::SYS_mknodat,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_link,
    libc::SYS_linkat,
    libc::SYS_symlink,
    libc::SYS_symlinkat,
    libc::SYS_unlink,
    libc::SYS_unlinkat,
    libc::SYS_chmod,
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_fchownat,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_utimensat,
    libc::SYS_truncate,
    libc::SYS_getxattr,
    libc::SYS_lgetxattr,
    libc::SYS_listxattr,
    libc::SYS_llistxattr,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_inotify_init,
    libc::SYS_inotify_init1,
    libc::SYS_inotify_add_watch,
    libc::SYS_inotify_rm_watch,
    libc::SYS_name_to_handle_at,
    libc::SYS_landlock_create_ruleset,
    libc::SYS_landlock_add_rule,
    libc::SYS_landlock_restrict_self,
];

const DESCRIPTORS: &[c_long] = &[
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_preadv2,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_dup2,
    libc::SYS_dup3,
    libc::SYS_fcntl,
    libc::SYS_flock,
    libc::SYS_ioctl,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_getdents,
    libc::SYS_getdents64,
    libc::SYS_fchdir,
    libc::SYS_fchmod,
    libc::SYS_fchown,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fadvise64,
    libc::SYS_readahead,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync_file_range,
    libc::SYS_fgetxattr,
    libc::SYS_flistxattr,
    libc::SYS_fsetxattr,
    libc::SYS_fremovexattr,
    libc::SYS_sendfile,
    libc::SYS_copy_file_range,
    libc::SYS_splice,
    libc::SYS_tee,
    libc::SYS_pipe,
    libc::SYS_pipe2,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_select,
    libc::SYS_pselect6,
    libc::SYS_epoll_create,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd,
    libc::SYS_eventfd2,
    libc::SYS_signalfd,
    libc::SYS_signalfd4,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_timerfd_gettime,
];

/// Once there is one.
const SOCKETS: &[c_long] = &[
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
];

/// A process's own, which ends with it.
const MEMORY: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_msync,
    libc::SYS_mincore,
    libc::SYS_mlock,
    libc::SYS_mlock2,
    libc::SYS_mlockall,
    libc::SYS_munlock,
    libc::SYS_munlockall,
    libc::SYS_mseal,
    MAP_SHADOW_STACK,
    libc::SYS_remap_file_pages,
    libc::SYS_pkey_alloc,
    libc::SYS_pkey_free,
    libc::SYS_pkey_mprotect,
    libc::SYS_membarrier,
];

/// Linux 6.6; the C library makes its shadow stacks by it.
const MAP_SHADOW_STACK: c_long = 453;

/// Those of the room, threads, and signals to them.
const PROCESSES: &[c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_pause,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_futex,
    libc::SYS_futex_waitv,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_arch_prctl,
    libc::SYS_prctl,
    libc::SYS_seccomp,
    libc::SYS_personality,
    libc::SYS_getpriority,
    libc::SYS_setpriority,
    libc::SYS_ioprio_get,
    libc::SYS_ioprio_set,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_setparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_getattr,
    libc::SYS_sched_setattr,
    libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min,
    libc::SYS_sched_rr_get_interval,
    libc::SYS_getcpu,
    libc::SYS_getrlimit,
    libc::SYS_setrlimit,
    libc::SYS_prlimit64,
    libc::SYS_getrusage,
    libc::SYS_times,
];

/// There are no rights to gain by them.
const IDENTITY: &[c_long] = &[
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getppid,
    libc::SYS_getpgid,
    libc::SYS_getpgrp,
    libc::SYS_setpgid,
    libc::SYS_getsid,
    libc::SYS_setsid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getresuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getresgid,
    libc::SYS_getgroups,
    libc::SYS_setuid,
    libc::SYS_setreuid,
    libc::SYS_setresuid,
    libc::SYS_setfsuid,
    libc::SYS_setgid,
    libc::SYS_setregid,
    libc::SYS_setresgid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capget,
    libc::SYS_capset,
    libc::SYS_uname,
    libc::SYS_sysinfo,
];

/// To be told it, and to wait.
const TIME: &[c_long] = &[
    libc::SYS_time,
    libc::SYS_gettimeofday,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_alarm,
    libc::SYS_getitimer,
    libc::SYS_setitimer,
    libc::SYS_timer_create,
    libc::SYS_timer_delete,
    libc::SYS_timer_gettime,
    libc::SYS_timer_settime,
    libc::SYS_timer_getoverrun,
    libc::SYS_getrandom,
];

/// What answers EPERM instead of ENOSYS, as the kernel does to whoever has no rights: programs say so then as they
/// do outside. Only a matter of words; they are on no list.
const NOT_PERMITTED: &[c_long] = &[
    libc::SYS_acct,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_ioperm,
    libc::SYS_iopl,
    libc::SYS_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_vhangup,
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
    rules.insert(libc::SYS_socket, sockets.collect::<Result<_>>()?);
    let pairs = PAIRS.map(|kind| rule([equal(0, libc::AF_UNIX), masked(1, TYPE, kind)]));
    rules.insert(libc::SYS_socketpair, pairs.into_iter().collect::<Result<_>>()?);
    let namespaces = NAMESPACES.iter().fold(0, |all, flag| all | flag);
    rules.insert(libc::SYS_clone, vec![rule([masked(0, namespaces, 0)])?]);
    Ok(rules)
}

fn other_families() -> Result<Rules> {
    let others = FAMILIES.map(|(family, _)| unequal(0, family));
    Ok([(libc::SYS_socket, vec![rule(others)?])].into())
}

fn other_protocols() -> Result<Rules> {
    let internet = PROTOCOLS.map(|protocol| unequal(2, protocol));
    let internet = rule([unequal(0, libc::AF_NETLINK)].into_iter().chain(internet))?;
    let netlink = rule([equal(0, libc::AF_NETLINK), unequal(2, libc::NETLINK_ROUTE)])?;
    Ok([(libc::SYS_socket, vec![internet, netlink])].into())
}

fn not_permitted() -> Result<Rules> {
    let mut rules: Rules =
        NOT_PERMITTED.iter().filter(is_there).map(|&call| (call, Vec::new())).collect();
    let namespaces = NAMESPACES.map(|flag| rule([masked(0, flag, flag)]));
    rules.insert(libc::SYS_clone, namespaces.into_iter().collect::<Result<_>>()?);
    Ok(rules)
}

/// Whether this machine's kernels have the call: see [`libc`].
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
