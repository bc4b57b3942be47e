//! The loopback interface (netdevice(7)).

use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::libc;

/// Turns it on.
pub fn up() -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0").context("a socket for the loopback interface")?;
    // SAFETY: the request is all zeros but for name and flags, which this call reads.
    let result = unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request)
    };
    Errno::result(result).context("turning on the loopback interface")?;
    Ok(())
}
