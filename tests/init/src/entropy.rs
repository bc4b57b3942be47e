//! The kernel's random numbers (random(4)): kernels up to Linux 5.3 wait for events that do not come.

use std::fs::File;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::libc;

/// `struct rand_pool_info` with its bytes (linux/random.h).
#[repr(C)]
struct Pool {
    bits: libc::c_int,
    len: libc::c_int,
    bytes: [u8; 64],
}

/// Kernels up to Linux 4.7 have a pool that is filled only by what another one cannot hold.
const ENOUGH: usize = 64;
/// RNDADDENTROPY: _IOW('R', 3, int[2]).
const ADD: libc::c_ulong = 0x4008_5203;

/// Declares that there is enough. This is a test, so that numbers that can be guessed will do.
pub fn credit() -> Result<()> {
    let device = File::options().write(true).open("/dev/random").context("/dev/random")?;
    let bytes = std::array::from_fn(|at| at as u8);
    let pool = Pool { bits: 512, len: 64, bytes };
    for _ in 0..ENOUGH {
        // SAFETY: the call reads the structure.
        let result = unsafe { libc::ioctl(device.as_raw_fd(), ADD, &raw const pool) };
        Errno::result(result).context("adding entropy")?;
    }
    Ok(())
}
