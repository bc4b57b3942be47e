//! The file system a swept program sees: a small tmpfs with read-only binds of what programs need.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Directories of the machine that are visible, read-only. By custom none of them holds sockets.
const VISIBLE: &[&str] = &["usr", "etc", "opt", "sys", "var/lib/dpkg"];

/// Links of a merged-`/usr` system, or directories of an older one.
const USR_LINKS: &[&str] = &["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

/// Directories that programs expect and find empty.
const EMPTY: &[&str] = &["run", "home", "root", "mnt", "media", "srv", "boot"];

const NONE: Option<&str> = None;

/// Replaces this process's root by the sandbox's, with `image` mounted over `mount_at`.
///
/// The process must be alone in its mount namespace.
pub fn enter(image: &Path, mount_at: &Path) -> Result<()> {
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)
        .context("make mounts private")?;
    // Covers the machine's own /tmp in this namespace only; `image` was opened before.
    let root = Path::new("/tmp");
    let image = fs::File::open(image).with_context(|| format!("open {}", image.display()))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), root, Some("tmpfs"), flags, Some("size=1m,nr_inodes=1k,mode=755"))
        .context("mount the root")?;

    for name in VISIBLE.iter().chain(USR_LINKS) {
        show(&Path::new("/").join(name), &root.join(name))?;
    }
    let target = root.join(mount_at.strip_prefix("/")?);
    bind(&descriptor_path(&image), &target)
        .with_context(|| format!("mount the image over {}", mount_at.display()))?;
    devices(&root.join("dev"))?;
    for name in EMPTY {
        fs::create_dir(root.join(name))?;
    }
    tmpfs(&root.join("tmp"), "size=64m,nr_inodes=4k,mode=1777")?;
    symlink("../tmp", root.join("var/tmp"))?;
    symlink("../run", root.join("var/run"))?;
    fs::create_dir(root.join("proc"))?;

    nix::unistd::chdir(root)?;
    nix::unistd::pivot_root(".", ".").context("change the root")?;
    umount2(".", MntFlags::MNT_DETACH).context("leave the old root")?;
    nix::unistd::chdir("/")?;
    Ok(())
}

/// Makes every mount read-only but the scratch ones, and mounts `/proc`.
///
/// To be called by process 1 of the new process id namespace, whose `/proc` it becomes.
pub fn make_read_only() -> Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, NONE).context("mount /proc")?;
    let table = fs::read_to_string("/proc/self/mountinfo").context("read mountinfo")?;
    for line in table.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let (Some(point), Some(options)) = (fields.get(4), fields.get(5)) else {
            continue;
        };
        let point = unescape(point);
        if ["/tmp", "/proc", "/dev/shm", "/dev/pts"].contains(&point.as_str()) {
            continue;
        }
        // Device nodes stay writable on a read-only mount; only the file system does not.
        let flags =
            MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | kept(options, &point);
        mount(NONE, point.as_str(), NONE, flags, NONE)
            .with_context(|| format!("make {point} read-only"))?;
    }
    Ok(())
}

/// A remount replaces all flags, so those that were set are named again.
fn kept(options: &str, point: &str) -> MsFlags {
    let mut flags = MsFlags::MS_NOSUID;
    if !point.starts_with("/dev/") {
        flags |= MsFlags::MS_NODEV;
    }
    for option in options.split(',') {
        flags |= match option {
            "noexec" => MsFlags::MS_NOEXEC,
            "noatime" => MsFlags::MS_NOATIME,
            "nodiratime" => MsFlags::MS_NODIRATIME,
            "relatime" => MsFlags::MS_RELATIME,
            _ => MsFlags::empty(),
        };
    }
    flags
}

/// Octal escapes of mountinfo, proc(5): space, tab, newline, backslash.
fn unescape(field: &str) -> String {
    field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// Shows a directory or symbolic link of the machine; one that is not there is left out.
fn show(source: &Path, target: &Path) -> Result<()> {
    let Ok(kind) = fs::symlink_metadata(source) else {
        return Ok(());
    };
    if kind.is_symlink() {
        symlink(fs::read_link(source)?, target)?;
    } else {
        fs::create_dir_all(target)?;
        bind(source, target)?;
    }
    Ok(())
}

fn bind(source: &Path, target: &Path) -> Result<()> {
    mount(Some(source), target, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)
        .with_context(|| format!("bind {}", source.display()))
}

fn tmpfs(target: &Path, options: &str) -> Result<()> {
    fs::create_dir_all(target)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), target, Some("tmpfs"), flags, Some(options))
        .with_context(|| format!("mount {}", target.display()))
}

fn devices(dev: &Path) -> Result<()> {
    fs::create_dir(dev)?;
    for name in DEVICES {
        let node = dev.join(name);
        fs::File::create(&node)?;
        bind(&Path::new("/dev").join(name), &node)?;
    }
    fs::create_dir(dev.join("pts"))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    let options = Some("newinstance,ptmxmode=0666,mode=0620");
    mount(Some("devpts"), &dev.join("pts"), Some("devpts"), flags, options)
        .context("mount devpts")?;
    tmpfs(&dev.join("shm"), "size=16m,nr_inodes=1k,mode=1777")?;
    symlink("pts/ptmx", dev.join("ptmx"))?;
    symlink("/proc/self/fd", dev.join("fd"))?;
    for (number, name) in ["stdin", "stdout", "stderr"].iter().enumerate() {
        symlink(format!("/proc/self/fd/{number}"), dev.join(name))?;
    }
    Ok(())
}

/// A path that reaches an open file even where its name is covered by a mount.
fn descriptor_path(file: &fs::File) -> std::path::PathBuf {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_mountinfo() {
        assert_eq!(unescape(r"/a\040b\134c"), r"/a b\c");
    }

    #[test]
    fn flags_of_a_remount() {
        let flags = kept("rw,noexec,relatime", "/sys");
        assert!(flags.contains(MsFlags::MS_NOEXEC | MsFlags::MS_RELATIME | MsFlags::MS_NODEV));
        assert!(!kept("rw", "/dev/null").contains(MsFlags::MS_NODEV));
    }
}
