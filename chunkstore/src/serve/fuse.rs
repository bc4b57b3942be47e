//! The image as a file, by FUSE: a directory with one file, which has the image's name and size. Only who mounts it may use it.

use std::ffi::OsStr;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEntry, ReplyOpen,
    Request, Session, SessionUnmounter,
};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{getegid, geteuid};

use super::device::{Device, Part};
use super::threads::Threads;

/// The file.
const FILE: INodeNo = INodeNo(2);
/// Nothing about it ever changes.
const FOR_EVER: Duration = Duration::from_secs(1 << 30);
/// So many threads take requests, and answer what is in memory;
const LISTENERS: usize = 2;
/// and so many reads that take their time are worked on at once.
const WORKERS: usize = 32;

/// A mount. It ends with this.
pub struct Mount {
    at: PathBuf,
    session: Mutex<Option<Session<Tree>>>,
    unmounter: Mutex<SessionUnmounter>,
}

impl Mount {
    /// Mounts a directory with the file `label` on an empty directory. What a server that was killed has left behind there goes away.
    pub fn new(at: &Path, device: Arc<Device>, label: &str) -> io::Result<Self> {
        // Of its attributes the kernel may still tell what they were.
        let is_dead = |error: io::Error| error.raw_os_error() == Some(DEAD);
        if std::fs::read_dir(at).is_err_and(is_dead) {
            detach(at)?;
        }
        if std::fs::read_dir(at)?.next().is_some() {
            return Err(io::Error::other("it is not empty; name an empty directory"));
        }
        let at = at.canonicalize()?;
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName("chunkstore".into()),
            MountOption::Subtype("chunkstore".into()),
            MountOption::RO,
            MountOption::NoSuid,
            MountOption::NoDev,
            MountOption::NoExec,
            MountOption::DefaultPermissions,
        ];
        config.n_threads = Some(LISTENERS);
        let tree = Tree { label: label.into(), device, workers: Threads::new(WORKERS) };
        let mut session = Session::new(tree, &at, &config)?;
        let unmounter = Mutex::new(session.unmount_callable());
        Ok(Self { at, session: Mutex::new(Some(session)), unmounter })
    }

    /// Answers requests until somebody unmounts it.
    pub fn serve(&self) -> io::Result<()> {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner).take();
        session.map_or(Ok(()), Session::run)
    }

    /// Unmounts it; where somebody has the file open, it goes when that is closed.
    pub fn end(&self) -> io::Result<()> {
        let mut unmounter = self.unmounter.lock().unwrap_or_else(PoisonError::into_inner);
        unmounter.unmount().or_else(|_| detach(&self.at))
    }
}

/// What is said of a mount whose server is dead (ENOTCONN).
const DEAD: i32 = rustix::io::Errno::NOTCONN.raw_os_error();

/// Takes a mount away, whoever uses it; users without privileges have a program for that.
fn detach(at: &Path) -> io::Result<()> {
    if unmount(at, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).is_ok() {
        return Ok(());
    }
    let mut command = Command::new("fusermount3");
    command.args(["-u", "-z", "-q", "--"]).arg(at);
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match quiet.status()?.success() {
        true => Ok(()),
        false => Err(io::Error::other("what is mounted there cannot be unmounted")),
    }
}

/// The directory.
struct Tree {
    label: String,
    device: Arc<Device>,
    workers: Threads,
}

impl Tree {
    fn attributes(&self, number: INodeNo) -> Option<FileAttr> {
        let (kind, perm, nlink, size) = match number {
            INodeNo::ROOT => (FileType::Directory, 0o500, 2, 0),
            FILE => (FileType::RegularFile, 0o400, 1, self.device.len()),
            _ => return None,
        };
        Some(FileAttr {
            ino: number,
            size,
            blocks: size.div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink,
            uid: geteuid().as_raw(),
            gid: getegid().as_raw(),
            rdev: 0,
            blksize: 64 << 10,
            flags: 0,
        })
    }
}

impl Filesystem for Tree {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let is_file = parent == INodeNo::ROOT && name == OsStr::new(&self.label);
        match self.attributes(FILE).filter(|_| is_file) {
            Some(attributes) => reply.entry(&FOR_EVER, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(number) {
            Some(attributes) => reply.attr(&FOR_EVER, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match number {
            // What the kernel remembers of it stays right.
            FILE => reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE),
            _ => reply.error(Errno::EISDIR),
        }
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        if number != FILE {
            return reply.error(Errno::EISDIR);
        }
        let since = Instant::now();
        let device = &self.device;
        let range = offset..offset.saturating_add(size.into()).min(device.len());
        if range.is_empty() {
            return reply.data(&[]);
        }
        device.hear(&range);
        if let Some(parts) = device.read_at_hand(&range) {
            return answer(device, &range, since, Ok(parts), reply);
        }
        let device = device.clone();
        self.workers.run(move || answer(&device, &range, since, device.read(&range), reply));
    }

    fn readdir(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        if number != INodeNo::ROOT {
            return reply.error(Errno::ENOTDIR);
        }
        let entries = [
            (INodeNo::ROOT, FileType::Directory, "."),
            (INodeNo::ROOT, FileType::Directory, ".."),
            (FILE, FileType::RegularFile, &self.label),
        ];
        for (at, (number, kind, name)) in (1..).zip(entries).skip(offset as usize) {
            if reply.add(number, at, kind, name) {
                break;
            }
        }
        reply.ok();
    }
}

fn answer(
    device: &Device,
    range: &Range<u64>,
    since: Instant,
    read: io::Result<Vec<Part>>,
    reply: ReplyData,
) {
    let metrics = &device.chunks.metrics;
    match read {
        Ok(parts) => {
            metrics.answered(range.end - range.start, since.elapsed());
            match &parts[..] {
                [Part::Bytes(chunk, within)] => reply.data(&chunk[within.clone()]),
                parts => reply.data(&joined(parts)),
            }
        }
        Err(_) => {
            metrics.failed(since.elapsed());
            reply.error(Errno::EIO);
        }
    }
}

fn joined(parts: &[Part]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        match part {
            Part::Zeros(len) => bytes.resize(bytes.len() + *len as usize, 0),
            Part::Bytes(chunk, within) => bytes.extend(&chunk[within.clone()]),
        }
    }
    bytes
}
