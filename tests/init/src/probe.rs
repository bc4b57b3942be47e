//! What the machine is, seen from a program.

use std::fs;
use std::ptr;

use anyhow::Result;
use nix::libc;

use statify_init::plan::Facts;

/// Finds out.
pub fn facts() -> Result<Facts> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let maps = fs::read_to_string("/proc/self/maps")?;
    Ok(Facts {
        release: release.trim().into(),
        // SAFETY: getauxval(3) reads the process's own vector.
        vdso: unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) } != 0,
        vsyscall: maps.contains("[vsyscall]"),
        five_levels: has_five_levels(),
        avx2: is_x86_feature_detected!("avx2"),
    })
}

/// Addresses above 47 bits are given only to those who ask (Documentation/arch/x86/x86_64/5level-paging.rst).
fn has_five_levels() -> bool {
    const LEN: usize = 4096;
    let Some(hint) = 1usize.checked_shl(50) else { return false };
    // SAFETY: a page of its own, given back at once.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let at = libc::mmap(ptr::without_provenance_mut(hint), LEN, libc::PROT_NONE, flags, -1, 0);
        if at == libc::MAP_FAILED {
            return false;
        }
        libc::munmap(at, LEN);
        at.addr().checked_shr(47).is_some_and(|high| high > 0)
    }
}
