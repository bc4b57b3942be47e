//! The image as a file, by FUSE.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::Signal;
use nix::unistd::{geteuid, getuid};
use statify_tests::case::{Case, Cases};

use super::server::{Server, at};
use super::tool::{command, cut, image, noise, refused};

/// Somebody else, who is nobody.
const OTHER: u32 = 65534;

pub fn add(cases: &mut Cases) {
    for (name, test) in [
        ("fuse/every-byte", every_byte as fn(&Case) -> Result<()>),
        ("fuse/store-goes-and-comes", store_goes),
        ("fuse/ends-properly", ends),
        ("fuse/killed", killed),
        ("fuse/unmounted-by-hand", by_hand),
        ("fuse/where-it-cannot-be", nowhere),
    ] {
        cases.needing(&["fuse", "program:fusermount3"]).check(name, test);
    }
    cases
        .needing(&["fuse", "root", "program:fusermount3", "program:cat"])
        .check("fuse/other-users", others);
}

/// A mount, which goes with the test.
struct Mounted {
    server: Server,
    dir: PathBuf,
    file: PathBuf,
    bytes: Vec<u8>,
}

impl Mounted {
    fn start(case: &Case, more: &[&OsStr]) -> Result<Self> {
        let store = case.dir.join("store");
        let (one, two) = (noise(1, 2_500_000), noise(2, 700_001));
        let parts = [(4097, &one[..]), (3_500_000, &two[..])];
        let path = image(&case.dir.join("image"), (5 << 20) + 77, &parts)?;
        cut(&path, &store, &["--chunk", "16K"])?;
        let dir = case.dir.join("mount");
        fs::create_dir(&dir)?;
        let bytes = fs::read(&path)?;
        let file = dir.join("image");
        Ok(Self { server: serve(case, &dir, more)?, dir, file, bytes })
    }

    fn is_mounted(&self) -> Result<bool> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let dir = self.dir.to_str().context("a path")?;
        Ok(mounts.lines().any(|line| line.split(' ').nth(4) == Some(dir)))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = unmount(&self.dir);
    }
}

fn unmount(dir: &Path) -> Result<()> {
    if umount2(dir, MntFlags::MNT_DETACH) == Err(Errno::EPERM) {
        let mut command = Command::new("fusermount3");
        let command = command.args(["-u", "-z"]).arg(dir);
        ensure!(command.stderr(Stdio::null()).status()?.success());
    }
    Ok(())
}

fn serve(case: &Case, dir: &Path, more: &[&OsStr]) -> Result<Server> {
    let words = [OsStr::new("image"), "--fuse".as_ref(), dir.as_os_str()];
    let words = words.into_iter().chain(more.iter().copied());
    let mut command = command("serve", words, &case.dir.join("store"))?;
    let server = Server::spawn(&mut command, &case.dir.join("socket"))?;
    // Of a mount whose server is dead the kernel still knows the file.
    let is_there = || fs::read_dir(dir).is_ok_and(|entries| entries.count() == 1);
    server.until(is_there, "it is not mounted")
}

fn every_byte(case: &Case) -> Result<()> {
    // Both ways at once.
    let nbd = at(&case.dir.join("socket"));
    let mounted = Mounted::start(case, &["--nbd".as_ref(), &nbd])?;
    let stat = mounted.file.metadata()?;
    ensure!(stat.len() == mounted.bytes.len() as u64 && stat.is_file());
    ensure!(stat.mode() & 0o777 == 0o400 && stat.uid() == getuid().as_raw(), "{stat:?}");
    let names: Vec<_> =
        fs::read_dir(&mounted.dir)?.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
    ensure!(names == ["image"], "{names:?}");
    let file = File::open(&mounted.file)?;
    for (offset, len) in [(0, 1), (4096, 2), (2_503_999, 90_000), (mounted.bytes.len() - 1, 1)] {
        let mut bytes = vec![0xaa; len];
        file.read_exact_at(&mut bytes, offset as u64)?;
        ensure!(bytes == mounted.bytes[offset..offset + len], "{offset} {len}");
    }
    ensure!(file.read_at(&mut [0; 9], mounted.bytes.len() as u64)? == 0);
    ensure!(fs::read(&mounted.file)? == mounted.bytes);
    ensure!(mounted.server.client()?.read_all()? == mounted.bytes);
    let refused = File::options().write(true).open(&mounted.file).map_err(|error| error.kind());
    ensure!(refused.is_err_and(|kind| kind == ErrorKind::ReadOnlyFilesystem));
    ensure!(File::create(mounted.dir.join("new")).is_err());
    ensure!(!mounted.dir.join("other").exists());
    Ok(())
}

/// As over NBD: an error in time, and nothing of it is remembered.
fn store_goes(case: &Case) -> Result<()> {
    let mounted = Mounted::start(case, &["--patience".as_ref(), "1".as_ref()])?;
    let pack = fs::read_dir(case.dir.join("store/packs"))?.next().context("a pack")??.path();
    let away = case.dir.join("away");
    let file = File::open(&mounted.file)?;
    for offset in [900_000, 1_500_000] {
        fs::rename(&pack, &away)?;
        let mut bytes = [0xaa; 10];
        let since = Instant::now();
        let read = file.read_exact_at(&mut bytes, offset as u64);
        let errno = read.err().and_then(|error| error.raw_os_error());
        ensure!(errno == Some(Errno::EIO as i32), "{errno:?}");
        ensure!(since.elapsed() < Duration::from_secs(4), "{:?}", since.elapsed());
        fs::rename(&away, &pack)?;
        file.read_exact_at(&mut bytes, offset as u64)?;
        ensure!(bytes == mounted.bytes[offset..offset + 10]);
    }
    ensure!(fs::read(&mounted.file)? == mounted.bytes);
    Ok(())
}

fn ends(case: &Case) -> Result<()> {
    let mut mounted = Mounted::start(case, &[])?;
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        ensure!(mounted.is_mounted()?);
        ensure!(mounted.server.end(signal)? == 0, "{signal}");
        ensure!(!mounted.is_mounted()?, "{signal}");
        mounted.server = serve(case, &mounted.dir, &[])?;
    }
    // Also where somebody has it open.
    let file = File::open(&mounted.file)?;
    ensure!(mounted.server.end(Signal::SIGTERM)? == 0);
    ensure!(!mounted.is_mounted()?);
    ensure!(file.read_at(&mut [0; 9], 0).is_err());
    Ok(())
}

/// What a killed server leaves behind, the next one takes away.
fn killed(case: &Case) -> Result<()> {
    let mut mounted = Mounted::start(case, &[])?;
    let dir = mounted.dir.clone();
    for _ in 0..3 {
        drop(std::mem::replace(
            &mut mounted.server,
            Server::spawn(&mut Command::new("true"), &dir)?,
        ));
        let dead = fs::read_dir(&dir).err().and_then(|error| error.raw_os_error());
        ensure!(dead == Some(Errno::ENOTCONN as i32), "{dead:?}");
        mounted.server = serve(case, &dir, &[])?;
        ensure!(fs::read(&mounted.file)? == mounted.bytes);
    }
    Ok(())
}

fn by_hand(case: &Case) -> Result<()> {
    let mut mounted = Mounted::start(case, &[])?;
    unmount(&mounted.dir)?;
    ensure!(mounted.server.wait()? == 0);
    Ok(())
}

fn nowhere(case: &Case) -> Result<()> {
    let mounted = Mounted::start(case, &[])?;
    let store = case.dir.join("store");
    let full = case.dir.join("full");
    fs::create_dir(&full)?;
    fs::write(full.join("file"), "")?;
    for (dir, words) in [
        (full.clone(), "not empty"),
        (full.join("file"), "Not a directory"),
        (full.join("none"), "No such file"),
        (mounted.dir.clone(), "not empty"),
    ] {
        refused("serve", ["image".as_ref(), "--fuse".as_ref(), dir.as_os_str()], &store, words)?;
    }
    Ok(())
}

/// Nobody else may look, not even where directories are open to them.
fn others(case: &Case) -> Result<()> {
    ensure!(geteuid().is_root());
    let mounted = Mounted::start(case, &[])?;
    let mut command = Command::new("cat");
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    let status = quiet.arg(&mounted.file).uid(OTHER).gid(OTHER).status()?;
    ensure!(!status.success(), "another user could read it");
    ensure!(fs::read(&mounted.file)? == mounted.bytes);
    Ok(())
}
