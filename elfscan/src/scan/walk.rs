//! From paths to rows: directories are read in parallel, each once, whatever links lead to it; each
//! file is a row once, whatever names it has. Nothing but regular files is opened, and none without
//! O_NONBLOCK and O_NOFOLLOW, since it may be exchanged after it was seen.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ffi::{CString, OsStr};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::Scope;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use statify_elf::Excerpt;
use statify_program::Privileges;
use statify_program::Refusal;
use statify_program::{Opened, check_kind};
use statify_room::Root;

use super::verdict::Judge;
use super::{Facts, Kind, LibrariesCheck, Privilege, Problem, Row};

/// So many names of a directory are looked at by one task.
const BATCH: usize = 256;
/// So many tasks may wait before a directory's reader looks at its files itself.
const MOST_WAITING: usize = 64;
const PROC_SUPER_MAGIC: u32 = 0x9fa0;
const SYSFS_MAGIC: u32 = 0x6265_6572;

/// Files that were looked at so far.
#[derive(Debug, Default)]
pub struct Counts {
    /// ELF files, under each of their names.
    pub elf: AtomicU64,
    /// Files that begin with `#!`.
    pub scripts: AtomicU64,
    /// Other files that are not ELF.
    pub others: AtomicU64,
    /// FIFOs, sockets and devices, which are not opened.
    pub special: AtomicU64,
}

impl Counts {
    /// How many there are in all.
    pub fn sum(&self) -> u64 {
        let all = [&self.elf, &self.scripts, &self.others, &self.special];
        all.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct Scan {
    /// A row for each ELF file, by path.
    pub rows: Vec<Row>,
    /// What could not be looked at, by path.
    pub problems: Vec<Problem>,
}

/// `st_dev` and `st_ino`.
type Id = (u64, u64);

#[derive(Default)]
struct Found {
    rows: Vec<Row>,
    /// Each file's row, and whether its name there is a symbolic link.
    by_id: HashMap<Id, (usize, bool)>,
    problems: Vec<Problem>,
    directories: HashSet<Id>,
    /// Symbolic links to directories, which are read after all that is no link.
    links: Vec<PathBuf>,
}

struct Walk<'a> {
    root: &'a Root,
    judge: Judge<'a>,
    counts: &'a Counts,
    found: Mutex<Found>,
    waiting: AtomicUsize,
}

/// A file's place.
#[derive(Clone, Copy)]
struct Place<'a> {
    path: &'a Path,
    is_link: bool,
}

/// Looks at files and directories of `root`, which may name each other's.
pub fn scan(
    paths: &[PathBuf],
    root: &Root,
    libraries: Option<LibrariesCheck<'_>>,
    counts: &Counts,
) -> Scan {
    let judge = Judge::new(root, libraries);
    let (found, waiting) = (Mutex::default(), AtomicUsize::new(0));
    let walk = Walk { root, judge, counts, found, waiting };
    for path in paths {
        let path =
            if root.directory().is_some() { Path::new("/").join(path) } else { path.clone() };
        walk.start(&path);
    }
    // Each directory is read once, so that loops end.
    loop {
        let mut links = std::mem::take(&mut walk.found().links);
        if links.is_empty() {
            break;
        }
        links.sort();
        links.iter().for_each(|link| walk.tree(link));
    }
    let Found { mut rows, mut problems, .. } =
        walk.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    rows.sort_by(|a, b| a.path.cmp(&b.path));
    problems.sort_by(|a, b| a.path.cmp(&b.path));
    problems.dedup_by(|a, b| a.path == b.path);
    Scan { rows, problems }
}

/// Opens a regular file; `at` and a name, or the working directory and a path.
fn open_file(at: impl AsFd, name: impl rustix::path::Arg, follow: bool) -> io::Result<File> {
    let mut flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    flags.set(OFlags::NOFOLLOW, !follow);
    Ok(rustix::fs::openat(at, name, flags, Mode::empty())?.into())
}

/// What is gone since its directory was read was not there.
fn is_gone(error: &io::Error) -> bool {
    let gone = [Errno::NOENT, Errno::LOOP, Errno::NOTDIR].map(|errno| errno.raw_os_error());
    error.raw_os_error().is_some_and(|number| gone.contains(&number))
}

impl Walk<'_> {
    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn complain(&self, path: &Path, refusal: Refusal) {
        let reason = refusal.in_root(self.root).to_string();
        self.found().problems.push(Problem { path: path.to_owned(), reason });
    }

    fn unreadable(&self, path: &Path, error: impl Into<io::Error>) {
        self.complain(path, Refusal::Program(path.to_owned(), error.into()));
    }

    /// A path that was asked for.
    fn start(&self, path: &Path) {
        let metadata = self.root.find(path).and_then(|found| found.link().metadata());
        match metadata {
            Err(error) => self.unreadable(path, error),
            Ok(metadata) if metadata.is_dir() => self.tree(path),
            Ok(metadata) => match check_kind(path, &metadata) {
                Err(error) => self.complain(path, error),
                Ok(()) => {
                    let is_link = self.root.directory().is_none()
                        && path.symlink_metadata().is_ok_and(|found| found.is_symlink());
                    if let Err(error) = self.linked_file(Place { path, is_link }) {
                        self.unreadable(path, error);
                    }
                }
            },
        }
    }

    /// A directory, or a link to one, with all below it.
    fn tree(&self, path: &Path) {
        rayon::scope(|scope| self.directory(scope, path.to_owned(), None));
    }

    fn open_directory(&self, path: &Path, follow: bool) -> io::Result<OwnedFd> {
        let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        flags.set(OFlags::NOFOLLOW, !follow && self.root.directory().is_none());
        let found = self.root.find(path)?;
        Ok(rustix::fs::open(found.link(), flags, Mode::empty())?)
    }

    /// `above` is the device of the directory that it was met in.
    fn directory<'s>(&'s self, scope: &Scope<'s>, path: PathBuf, above: Option<u64>) {
        if let Err(error) = self.read_directory(scope, &path, above)
            && !(above.is_some() && is_gone(&error))
        {
            self.unreadable(&path, error);
        }
    }

    fn read_directory<'s>(
        &'s self,
        scope: &Scope<'s>,
        path: &Path,
        above: Option<u64>,
    ) -> io::Result<()> {
        let directory = Arc::new(self.open_directory(path, above.is_none())?);
        let stat = rustix::fs::fstat(&*directory)?;
        if !self.found().directories.insert((stat.st_dev, stat.st_ino)) {
            return Ok(());
        }
        if above != Some(stat.st_dev) && is_kernels_own(&directory)? {
            let what = "it is the kernel's own file system, which is not looked at as a whole";
            return if above.is_none() { Err(io::Error::other(what)) } else { Ok(()) };
        }
        let mut files = Vec::new();
        let mut links = Vec::new();
        for entry in Dir::read_from(&*directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    let stat = rustix::fs::statat(&*directory, name, AtFlags::SYMLINK_NOFOLLOW);
                    stat.map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode))
                }
                known => known,
            };
            match kind {
                FileType::Directory if name == c"." || name == c".." => {}
                FileType::Directory => {
                    let path = path.join(OsStr::from_bytes(name.to_bytes()));
                    scope.spawn(move |scope| self.directory(scope, path, Some(stat.st_dev)));
                }
                FileType::RegularFile => {
                    files.push(name.to_owned());
                    if files.len() == BATCH {
                        let batch = std::mem::take(&mut files);
                        self.hand_over(scope, &directory, path, batch);
                    }
                }
                FileType::Symlink => links.push(name.to_owned()),
                FileType::Unknown => {}
                _ => _ = self.counts.special.fetch_add(1, Ordering::Relaxed),
            }
            if links.len() == BATCH {
                self.links(&directory, path, std::mem::take(&mut links));
            }
        }
        self.files(&directory, path, files);
        // After the files, whose names are better.
        self.links(&directory, path, links);
        Ok(())
    }

    /// Has files looked at by whoever has time; here, if too many wait already.
    fn hand_over<'s>(
        &'s self,
        scope: &Scope<'s>,
        directory: &Arc<OwnedFd>,
        path: &Path,
        names: Vec<CString>,
    ) {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return self.files(directory, path, names);
        }
        let (directory, path) = (Arc::clone(directory), path.to_owned());
        scope.spawn(move |_| {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.files(&directory, &path, names);
        });
    }

    fn files(&self, directory: &OwnedFd, path: &Path, names: Vec<CString>) {
        for name in names {
            let path = path.join(OsStr::from_bytes(name.to_bytes()));
            let looked = open_file(directory, &*name, false)
                .and_then(|file| self.file(&file, Place { path: &path, is_link: false }));
            match looked {
                Err(error) if !is_gone(&error) => self.unreadable(&path, error),
                _ => {}
            }
        }
    }

    fn links(&self, directory: &OwnedFd, path: &Path, names: Vec<CString>) {
        for name in names {
            let path = path.join(OsStr::from_bytes(name.to_bytes()));
            let found = match self.root.directory() {
                None => rustix::fs::statat(directory, &*name, AtFlags::empty())
                    .map(|stat| FileType::from_raw_mode(stat.st_mode))
                    .map_err(io::Error::from),
                Some(_) => self.root.find(&path).and_then(|found| {
                    let stat = rustix::fs::stat(found.link())?;
                    Ok(FileType::from_raw_mode(stat.st_mode))
                }),
            };
            let looked = match found {
                Ok(FileType::Directory) => {
                    self.found().links.push(path.clone());
                    Ok(())
                }
                Ok(FileType::RegularFile) => self.linked_file(Place { path: &path, is_link: true }),
                // What it leads to is nothing, or special.
                _ => Ok(()),
            };
            match looked {
                Err(error) if !is_gone(&error) => self.unreadable(&path, error),
                _ => {}
            }
        }
    }

    /// A path that may be a link.
    fn linked_file(&self, place: Place<'_>) -> io::Result<()> {
        let found = self.root.find(place.path)?;
        let file = open_file(rustix::fs::CWD, found.link(), true)?;
        self.file(&file, place)
    }

    fn file(&self, file: &File, place: Place<'_>) -> io::Result<()> {
        let mut start = [0; 4];
        let len = match file.read_at(&mut start, 0) {
            // It has become a directory or something that has nothing to read yet.
            Err(error)
                if matches!(Errno::from_io_error(&error), Some(Errno::ISDIR | Errno::AGAIN)) =>
            {
                return Ok(());
            }
            len => len?,
        };
        let count = match &start[..len] {
            b"\x7fELF" => &self.counts.elf,
            [b'#', b'!', ..] => &self.counts.scripts,
            _ => &self.counts.others,
        };
        count.fetch_add(1, Ordering::Relaxed);
        if &start != b"\x7fELF" {
            return Ok(());
        }
        let metadata = file.metadata()?;
        let id = (metadata.dev(), metadata.ino());
        if !metadata.is_file() || !self.found().wants(id, place) {
            return Ok(());
        }
        let row = self.look(file, &metadata, place.path)?;
        self.found().add(id, place.is_link, row);
        Ok(())
    }

    fn look(&self, file: &File, metadata: &Metadata, path: &Path) -> io::Result<Row> {
        thread_local! {
            static EXCERPT: RefCell<Excerpt> = RefCell::new(Excerpt::new());
        }
        let link = match self.root.directory() {
            None => path.to_owned(),
            Some(_) => format!("/proc/self/fd/{}", file.as_raw_fd()).into(),
        };
        EXCERPT.with_borrow_mut(|excerpt| {
            let bytes = excerpt.read(file, metadata.len())?;
            let facts = Facts::read(bytes);
            let privileges = Privileges::of(file, metadata)?;
            let opened = Opened { path, link: &link, file, metadata, bytes };
            let kind = facts.kind.unwrap_or(Kind::Damaged);
            let (verdict, reason) = self.judge.judge(&opened, kind);
            Ok(Row {
                path: path.to_owned(),
                size: metadata.len(),
                facts,
                privileges: privileges.as_ref().map(Privilege::all_of).unwrap_or_default(),
                verdict,
                reason,
            })
        })
    }
}

impl Found {
    /// Whether a file has no row yet, or one under a name that is not as good.
    fn wants(&self, id: Id, place: Place<'_>) -> bool {
        self.by_id.get(&id).is_none_or(|&(row, is_link)| {
            (place.is_link, place.path) < (is_link, self.rows[row].path.as_path())
        })
    }

    fn add(&mut self, id: Id, is_link: bool, row: Row) {
        if !self.wants(id, Place { path: &row.path, is_link }) {
            return;
        }
        match self.by_id.get(&id) {
            Some(&(place, _)) => {
                self.rows[place] = row;
                self.by_id.insert(id, (place, is_link));
            }
            None => {
                self.by_id.insert(id, (self.rows.len(), is_link));
                self.rows.push(row);
            }
        }
    }
}

/// Whether it is /proc or /sys: to read there has effects, or does not end.
fn is_kernels_own(directory: impl AsFd) -> io::Result<bool> {
    let kind = rustix::fs::fstatfs(directory)?.f_type as u32;
    Ok(matches!(kind, PROC_SUPER_MAGIC | SYSFS_MAGIC))
}
