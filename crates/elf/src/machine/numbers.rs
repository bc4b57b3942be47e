//! Numbers of system calls: libc's, and on machines whose kernels have never had them, those of the older calls that newer ones
//! took the place of (include/uapi/asm-generic/unistd.h leaves them out). There they are negative, which no call's number
//! is, and each another.

#![allow(missing_docs, non_upper_case_globals, reason = "the names are the kernel's")]

pub use libc::*;

/// Defines them, from this number downwards.
#[cfg(target_arch = "aarch64")]
macro_rules! former {
    ($number:expr, $first:ident $(, $other:ident)*) => {
        pub const $first: c_long = $number;
        former!($number - 1 $(, $other)*);
    };
    ($number:expr) => {};
}

#[cfg(target_arch = "aarch64")]
former!(
    -1000,
    SYS_access,
    SYS_alarm,
    SYS_arch_prctl,
    SYS_chmod,
    SYS_chown,
    SYS_creat,
    SYS_dup2,
    SYS_epoll_create,
    SYS_epoll_wait,
    SYS_eventfd,
    SYS_fork,
    SYS_futimesat,
    SYS_getdents,
    SYS_getpgrp,
    SYS_inotify_init,
    SYS_ioperm,
    SYS_iopl,
    SYS_lchown,
    SYS_link,
    SYS_lstat,
    SYS_mkdir,
    SYS_mknod,
    SYS_open,
    SYS_pause,
    SYS_pipe,
    SYS_poll,
    SYS_readlink,
    SYS_rename,
    SYS_rmdir,
    SYS_select,
    SYS_signalfd,
    SYS_stat,
    SYS_symlink,
    SYS_time,
    SYS_unlink,
    SYS_utime,
    SYS_utimes,
    SYS_vfork
);

// These the kernel has; libc does not name them.
#[cfg(target_arch = "aarch64")]
pub const SYS_renameat: c_long = 38;
#[cfg(target_arch = "aarch64")]
pub const SYS_getrlimit: c_long = 163;
#[cfg(target_arch = "aarch64")]
pub const SYS_setrlimit: c_long = 164;
#[cfg(target_arch = "aarch64")]
pub const SYS_fchmodat2: c_long = 452;
#[cfg(target_arch = "aarch64")]
pub const SYS_sync_file_range: c_long = 84;
