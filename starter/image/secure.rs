//! AT_SECURE: the process has privileges that its caller lacks (ld.so(8), "Secure-execution mode").
//! The kernel decides that at each start, so every output is prepared for it: what glibc's loader
//! does then is done here. The words that depend on it are fix-ups.

use crate::arch::{self, nr};
use crate::elf::Word;
use crate::message;
use crate::params::{Params, SECURE_AS_GLIBC, SECURE_REFUSED};
use crate::stack::{AT_SECURE, Stack};
use crate::stat::{self, Stat};

/// What must not reach a privileged program, nor what it starts: the union of what glibc 2.17 to
/// 2.43 removes (sysdeps/generic/unsecvars.h; elf/dl-tunables.list, `SXID_ERASE`; dl-librecon.h).
const UNSECURE: &[u8] = b"\
    GCONV_PATH\0GETCONF_DIR\0GLIBC_TUNABLES\0HOSTALIASES\0\
    LD_AOUT_LIBRARY_PATH\0LD_AOUT_PRELOAD\0LD_AUDIT\0LD_BIND_NOT\0LD_BIND_NOW\0LD_DEBUG\0\
    LD_DEBUG_OUTPUT\0LD_DYNAMIC_WEAK\0LD_HWCAP_MASK\0LD_LIBRARY_PATH\0LD_ORIGIN_PATH\0\
    LD_PREFER_MAP_32BIT_EXEC\0LD_PRELOAD\0LD_PROFILE\0LD_PROFILE_OUTPUT\0LD_SHOW_AUXV\0\
    LD_USE_LOAD_BIAS\0LD_VERBOSE\0LD_WARN\0\
    LOCALDOMAIN\0LOCPATH\0\
    MALLOC_ARENA_MAX\0MALLOC_ARENA_TEST\0MALLOC_CHECK_\0MALLOC_MMAP_MAX_\0\
    MALLOC_MMAP_THRESHOLD_\0MALLOC_PERTURB_\0MALLOC_TOP_PAD_\0MALLOC_TRACE\0\
    MALLOC_TRIM_THRESHOLD_\0\
    NIS_PATH\0NLSPATH\0RESOLV_HOST_CONF\0RES_OPTIONS\0TMPDIR\0TZDIR\0";

const F_GETFD: u64 = 1;
const EBADF: i64 = 9;
const AT_FDCWD: u64 = -100i64 as u64;
const O_RDONLY: u64 = 0;
const O_WRONLY: u64 = 1;
/// Major 1, minor 3 and 7 (Documentation/admin-guide/devices.txt), as stat(2) shows them.
const NULL_DEVICE: u64 = 1 << 8 | 3;
const FULL_DEVICE: u64 = 1 << 8 | 7;

/// If the process has privileges that its caller lacks: closes the ways by which the caller could
/// reach into it, before anything else is done.
///
/// # Safety
///
/// Nothing else reads the environment meanwhile.
pub unsafe fn prepare(p: &Params, stack: &Stack) {
    if stack.value(AT_SECURE).is_none_or(|secure| secure == 0) {
        return;
    }
    if p.secure == SECURE_REFUSED {
        message::fail(message::PRIVILEGES);
    }
    if p.secure != SECURE_AS_GLIBC {
        return;
    }
    // As glibc, csu/check_fds.c: what is opened cannot be used for what its number means.
    occupy(0, b"/dev/full\0", O_WRONLY, FULL_DEVICE);
    occupy(1, b"/dev/null\0", O_RDONLY, NULL_DEVICE);
    occupy(2, b"/dev/null\0", O_RDONLY, NULL_DEVICE);
    // SAFETY: the caller's promise.
    unsafe { clean(stack.envp) };
}

/// Sees to it that a descriptor is open, so that no file that the program opens gets its number.
/// Crashes where that cannot be: no message could be trusted to go where it should.
fn occupy(descriptor: u64, device: &[u8], mode: u64, number: u64) {
    // SAFETY: fcntl(2) reads nothing, openat(2) a string that ends with a NUL.
    unsafe {
        if arch::syscall(nr::FCNTL, [descriptor, F_GETFD, 0, 0, 0, 0]) != -EBADF {
            return;
        }
        let flags = mode | arch::O_NOFOLLOW;
        let args = [AT_FDCWD, device.as_ptr() as u64, flags, 0, 0, 0];
        if arch::syscall(nr::OPENAT, args) != descriptor as i64 {
            arch::crash();
        }
        let is_meant =
            |stat: Stat| stat.mode() & stat::S_IFMT == stat::S_IFCHR && stat.device() == number;
        if !Stat::of(descriptor).is_some_and(is_meant) {
            arch::crash();
        }
    }
}

/// Removes the unsecure variables from the environment, each as often as it is there. The words
/// left over at the array's end become null pointers.
unsafe fn clean(envp: *mut Word) {
    // SAFETY: a null pointer ends the array; all else points at strings that end with a NUL.
    unsafe {
        let (mut from, mut to) = (envp, envp);
        while *from != 0 {
            if !is_unsecure(*from as *const u8) {
                *to = *from;
                to = to.add(1);
            }
            from = from.add(1);
        }
        while to != from {
            *to = 0;
            to = to.add(1);
        }
    }
}

/// Whether `entry` is `NAME=...` with one of the names.
unsafe fn is_unsecure(entry: *const u8) -> bool {
    let mut at = 0;
    for &byte in UNSECURE {
        // SAFETY: `at` goes no further than to the entry's NUL: no name contains one, so that it
        // stays at `DIFFERS` from the first byte that is not the name's.
        let found = if at == DIFFERS { 0 } else { unsafe { *entry.add(at) } };
        if byte == 0 {
            if found == b'=' {
                return true;
            }
            at = 0;
        } else if at != DIFFERS {
            at = if found == byte { at + 1 } else { DIFFERS };
        }
    }
    false
}

/// No position in an entry: it is not the name that is being compared.
const DIFFERS: usize = usize::MAX;
