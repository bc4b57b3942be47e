//! File systems of other kinds: made in a file, mounted by a loop device in a mount namespace of its own, so that nothing has to
//! be undone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statvfs::statvfs;
use statify_tests::case::Case;
use statify_tests::report::Done;

/// How long the end of a mount is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// A kind of file system, which root can mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Btrfs,
    Xfs,
    Tmpfs,
}

impl Kind {
    /// What a test with one needs. Whether the kernel has it, mounting it shows.
    pub fn needs(self) -> &'static [&'static str] {
        match self {
            Kind::Btrfs => &["root", "program:mkfs.btrfs", "program:losetup"],
            Kind::Xfs => &["root", "program:mkfs.xfs", "program:losetup"],
            Kind::Tmpfs => &["root"],
        }
    }
}

/// A mounted one.
#[derive(Debug)]
pub struct Disk {
    /// Where it is.
    pub dir: PathBuf,
}

impl Disk {
    /// Bytes in use, what is not on the disk yet included.
    pub fn used(&self) -> Result<u64> {
        let directory = fs::File::open(&self.dir)?;
        rustix::fs::syncfs(&directory)?;
        let stat = statvfs(&self.dir)?;
        Ok((stat.blocks() - stat.blocks_free()) * stat.fragment_size())
    }
}

/// Runs `test` with a file system of this kind and of `mib` MiB, which only it and what it starts see.
pub fn with(
    case: &Case,
    kind: Kind,
    mib: u64,
    test: impl FnOnce(&Disk) -> Result<Done> + Send,
) -> Result<Done> {
    let image = case.dir.join("image");
    let make: &[&str] = match kind {
        Kind::Btrfs => &["mkfs.btrfs", "-q"],
        Kind::Xfs => &["mkfs.xfs", "-q", "-m", "reflink=1"],
        Kind::Tmpfs => &[],
    };
    if let [program, arguments @ ..] = make {
        fs::File::create_new(&image)?.set_len(mib << 20)?;
        let mut command = Command::new(program);
        command.args(arguments).arg(&image).stdout(Stdio::null());
        ensure!(command.status()?.success(), "{program} failed");
    }
    let dir = case.dir.join("disk");
    fs::create_dir(&dir)?;
    // A thread may have a mount namespace of its own, and what it starts inherits it.
    thread::scope(|scope| {
        let run = || {
            unshare(CloneFlags::CLONE_NEWNS).context("no mount namespace")?;
            let none = None::<&str>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
            let mounted = match kind {
                Kind::Tmpfs => Mounted::tmpfs(mib, &dir),
                _ => Mounted::image(&image, &dir, "loop"),
            };
            let _mounted = match mounted {
                Err(reason) => return Done::not_here(format!("{kind:?}: {reason:#}")),
                Ok(mounted) => mounted,
            };
            test(&Disk { dir: dir.clone() })
        };
        scope.spawn(run).join().map_err(|_| anyhow::anyhow!("it panicked"))?
    })
}

/// A mount that ends with the test.
#[derive(Debug)]
pub struct Mounted {
    dir: PathBuf,
}

impl Mounted {
    fn tmpfs(mib: u64, dir: &Path) -> Result<Self> {
        let size = format!("size={mib}m");
        mount(Some("none"), dir, Some("tmpfs"), MsFlags::empty(), Some(size.as_str()))?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Mounts what is in a file (with the option `loop`) or on a device.
    pub fn image(image: &Path, dir: &Path, options: &str) -> Result<Self> {
        let output = Command::new("mount").args(["-o", options]).arg(image).arg(dir).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "it cannot be mounted: {}", said.trim());
        Ok(Self { dir: dir.to_owned() })
    }

    /// Ends it now; a loop device goes, too.
    pub fn unmount(self) -> Result<()> {
        let since = Instant::now();
        loop {
            match umount(&self.dir) {
                // What another test starts has this process's open files for a moment.
                Err(Errno::EBUSY) if since.elapsed() < PATIENCE => {
                    thread::sleep(Duration::from_millis(1));
                }
                other => return Ok(other?),
            }
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Also where something in it is still open.
        let _ = umount2(&self.dir, MntFlags::MNT_DETACH);
    }
}

/// A loop device. Once this is dropped it goes with the last mount of it.
#[derive(Debug)]
pub struct LoopDevice {
    /// The device.
    pub path: PathBuf,
}

impl LoopDevice {
    /// Makes one of a file, past the page cache where the file's file system can.
    pub fn of(image: &Path) -> Result<Self> {
        let mut command = Command::new("losetup");
        let output = command.args(["--direct-io=on", "--find", "--show"]).arg(image).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "no loop device: {}", said.trim());
        Ok(Self { path: String::from_utf8(output.stdout)?.trim().into() })
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.path).output();
    }
}
