//! File systems of other kinds: made in a file, mounted by a loop device in a mount namespace of its own, so that nothing has to
//! be undone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statvfs::statvfs;
use nix::unistd::geteuid;
use statify_tests::case::Case;
use statify_tests::report::Done;

/// A kind of file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Btrfs,
    Xfs,
    Tmpfs,
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
    test: impl FnOnce(&Disk) -> Result<()> + Send,
) -> Result<Done> {
    if !geteuid().is_root() {
        return Done::not_here("only root can mount file systems");
    }
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
        match command.status() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Done::not_here(format!("there is no {program}"));
            }
            status => ensure!(status?.success(), "{program} failed"),
        }
    }
    let dir = case.dir.join("disk");
    fs::create_dir(&dir)?;
    // A thread may have a mount namespace of its own, and what it starts inherits it.
    std::thread::scope(|scope| {
        let run = || {
            unshare(CloneFlags::CLONE_NEWNS).context("no mount namespace")?;
            let none = None::<&str>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
            if let Err(reason) = mount_at(kind, &image, &dir, mib) {
                return Done::not_here(format!("{reason:#}"));
            }
            test(&Disk { dir: dir.clone() }).map(|()| Done::Passed)
        };
        scope.spawn(run).join().map_err(|_| anyhow::anyhow!("it panicked"))?
    })
}

fn mount_at(kind: Kind, image: &Path, dir: &Path, mib: u64) -> Result<()> {
    if kind == Kind::Tmpfs {
        let size = format!("size={mib}m");
        return Ok(mount(Some("none"), dir, Some("tmpfs"), MsFlags::empty(), Some(size.as_str()))?);
    }
    let output = Command::new("mount").args(["-o", "loop"]).arg(image).arg(dir).output()?;
    if !output.status.success() {
        bail!("{kind:?} cannot be mounted: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
