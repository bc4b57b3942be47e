//! The running kernel's version, from uname(2).

use core::mem::MaybeUninit;

use crate::arch::{self, nr};

/// `struct new_utsname` (linux/utsname.h): six fields of this many bytes; the third is the release.
const FIELD: usize = 65;
const RELEASE: usize = 2 * FIELD;
/// What UNAME26 of personality(2) says in place of 3.0 (2.6.40), and of 4.0 and all newer ones.
const DISGUISED: u32 = 40;
const DISGUISED_NEWER: u32 = 60;

/// Whether the kernel is as new as `least`, three numbers of a byte each: 0x30200 is 3.2.0. So is
/// one that does not tell.
#[inline(never)]
pub fn is_at_least(least: u32) -> bool {
    let mut name = MaybeUninit::<[u8; 6 * FIELD]>::uninit();
    // SAFETY: uname(2) fills the structure if it succeeds; the release ends with a NUL, which no
    // number holds.
    unsafe {
        if arch::syscall(nr::UNAME, [name.as_mut_ptr() as u64, 0, 0, 0, 0, 0]) < 0 {
            return true;
        }
        let mut at = name.as_ptr().cast::<u8>().add(RELEASE);
        let mut numbers = [0u32; 3];
        for number in &mut numbers {
            let mut byte = *at;
            if !byte.is_ascii_digit() {
                break;
            }
            while byte.is_ascii_digit() {
                *number = number.wrapping_mul(10).wrapping_add(u32::from(byte - b'0'));
                at = at.add(1);
                byte = *at;
            }
            if byte == b'.' {
                at = at.add(1);
            }
        }
        let [major, minor, patch] = numbers;
        if major == 0 {
            return true;
        }
        if major == 2 && minor == 6 && patch >= DISGUISED {
            return patch >= DISGUISED_NEWER || version(3, patch - DISGUISED, 0) >= least;
        }
        version(major, minor, patch) >= least
    }
}

fn version(major: u32, minor: u32, patch: u32) -> u32 {
    major << 16 | minor.min(255) << 8 | patch.min(255)
}
