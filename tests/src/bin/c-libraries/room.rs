//! From inside the namespaces: a tree made a guest's root, with what fixtures need besides files.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;

use anyhow::{Context, Result};
use nix::libc;
use nix::mount::{MsFlags, mount};
use statify_tests::guest;

const NONE: Option<&str> = None;
/// The machine's, shown in the guest.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Shows `tree` below `scratch`, read-only, `scratch` in its /tmp under the same path, and settles there.
pub fn enter(tree: &Path, scratch: &Path) -> Result<()> {
    let root = scratch.join("guest");
    fs::create_dir(&root)?;
    bind(tree, &root)?;
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID;
    mount(NONE, &root, NONE, flags, NONE).context("making the tree read-only")?;
    special("proc", &root.join("proc"), "")?;
    special("sysfs", &root.join("sys"), "")?;
    special("tmpfs", &root.join("tmp"), "mode=1777")?;
    let dev = root.join("dev");
    special("tmpfs", &dev, "mode=755,size=1m")?;
    for name in DEVICES {
        fs::File::create(dev.join(name))?;
        bind(&Path::new("/dev").join(name), &dev.join(name))?;
    }
    fs::create_dir(dev.join("pts"))?;
    special("devpts", &dev.join("pts"), "newinstance,ptmxmode=0666,mode=0620")?;
    std::os::unix::fs::symlink("pts/ptmx", dev.join("ptmx"))?;
    std::os::unix::fs::symlink("/proc/self/fd", dev.join("fd"))?;
    fs::create_dir(dev.join("shm"))?;
    special("tmpfs", &dev.join("shm"), "mode=1777")?;
    let inside = root.join(scratch.strip_prefix("/")?);
    fs::create_dir_all(&inside).context("the scratch directory must lie in /tmp")?;
    bind(scratch, &inside)?;
    loopback_up()?;
    guest::settle(root);
    Ok(())
}

fn bind(from: &Path, to: &Path) -> Result<()> {
    mount(Some(from), to, NONE, MsFlags::MS_BIND, NONE)
        .with_context(|| format!("showing {} at {}", from.display(), to.display()))
}

fn special(kind: &str, at: &Path, options: &str) -> Result<()> {
    mount(Some(kind), at, Some(kind), MsFlags::MS_NOSUID, Some(options))
        .with_context(|| format!("mounting {}", at.display()))
}

/// A new network namespace's loopback interface is down (netdevice(7)).
fn loopback_up() -> Result<()> {
    // Any will do.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: all zero is a valid request.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: the request outlives the call.
    let set = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request) };
    nix::errno::Errno::result(set).map(drop).context("bringing up the loopback interface")
}
