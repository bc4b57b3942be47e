//! An ext4 image of a tree, made by mkfs.ext4 without mounting anything.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::error::{Error, Result};
use crate::measure::size;
use crate::tree::Tree;

/// Always the same, so that equal trees make equal images.
const UUID: &str = "5c0de000-0000-4000-8000-000000000000";
/// A block, and how many bytes there are for each file that there may be.
pub const BLOCK: u64 = 4096;
/// What is there for the journal of the file system and its tables.
const SPARE: u64 = 256 << 20;
/// Where mkfs.ext4 is, also for who is not root.
const PATH: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

/// Makes one of everything in `dir`, to be read and forgotten. It has no name, so nothing stays behind, whatever
/// happens; it takes up room in `scratch` while it is open.
///
/// Files begin at multiples of `cluster` bytes, a power of two and a block at least.
pub fn make(dir: &Path, scratch: &Path, cluster: u64) -> Result<File> {
    let image = tempfile::tempfile_in(scratch).map_err(Error::file("written", scratch))?;
    fill(dir, &image, scratch, cluster)?;
    Ok(image)
}

/// Makes one in `image`, an empty file that is shown as `path`.
pub fn fill(dir: &Path, image: &File, path: &Path, cluster: u64) -> Result<()> {
    let refused = |why: String| Error::Ext4Image(dir.to_owned(), why);
    let tree = Tree::open(dir)?;
    if let Some(mount) = tree.mounts()?.iter().find(|mount| mount.hidden) {
        let at = String::from_utf8_lossy(&mount.point).into_owned();
        return Err(refused(format!("something of the running system is mounted at {at} in it")));
    }
    let room = room(&tree, cluster)?;
    image.set_len(room).map_err(Error::file("written", path))?;
    let stdin = image.try_clone().map_err(Error::file("written", path))?;
    match mkfs(dir, stdin, room, cluster) {
        Ok(None) => Ok(()),
        Ok(Some(said)) => Err(refused(said)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(refused("mkfs.ext4 is not there; install e2fsprogs".into()))
        }
        Err(error) => Err(refused(format!("mkfs.ext4 cannot be run: {error}"))),
    }
}

/// Bytes of an image that everything in the tree fits into, in whole clusters.
fn room(tree: &Tree, cluster: u64) -> Result<u64> {
    let size = size::tree(tree)?;
    // Holes stay holes, and a file system may tell of fewer blocks than ext4 needs.
    let files = size.apparent.min(size.allocated.saturating_mul(4)).max(size.allocated);
    let room = files + files / 8 + size.files * 2 * cluster + SPARE;
    Ok(room.next_multiple_of(cluster))
}

/// Runs it on its standard input. Returns what it said if it failed.
fn mkfs(dir: &Path, image: File, room: u64, cluster: u64) -> io::Result<Option<String>> {
    let mut command = Command::new("mkfs.ext4");
    if cluster > BLOCK {
        command.args(["-O", "bigalloc", "-C", &cluster.to_string()]);
    }
    command
        .args(["-q", "-F", "-m", "0", "-b", "4096", "-i", &cluster.to_string(), "-U", UUID, "-E"])
        .arg(format!("hash_seed={UUID},lazy_itable_init=1,lazy_journal_init=1"))
        .arg("-d")
        .arg(dir)
        .arg("/proc/self/fd/0")
        .arg(format!("{}k", room / 1024))
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C")
        .stdin(image)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    // SAFETY: between fork and exec this makes one system call, and nothing else. So that mkfs.ext4 does
    // not outlive a run that is killed.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
    let output = command.output()?;
    if output.status.success() {
        return Ok(None);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it was killed");
    Ok(Some(format!("mkfs.ext4: {}", line.trim())))
}
