//! Files that a user asks for beside what a run makes (reports, logs): never through another user's link, and
//! never into another user's file.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use tempfile::NamedTempFile;

use crate::beneath;
use crate::trusted::{self, Entry, Place, Way};

/// Makes a file, or replaces it, when it is complete. Into what is no file, such as a pipe, it writes.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_at(&trusted::entry(path, Way::Any)?, bytes)
}

/// The same of the file `name` in a directory that was opened; a link of this name is replaced.
pub fn write_in(place: &Place, name: &str, bytes: &[u8]) -> io::Result<()> {
    let parent = Place { dir: place.dir.try_clone()?, path: place.path.clone() };
    let entry = Entry { parent, name: name.into() };
    let at = beneath::at(&place.dir, name);
    match at.symlink_metadata() {
        Ok(stat) if stat.is_symlink() => replace(&entry, bytes),
        _ => write_at(&entry, bytes),
    }
}

fn write_at(entry: &Entry, bytes: &[u8]) -> io::Result<()> {
    let at = beneath::at(&entry.parent.dir, &entry.name);
    match open_other(&at)? {
        Some(mut other) => other.write_all(bytes),
        None => replace(entry, bytes),
    }
}

/// A pipe, terminal or the like that has this name; what /proc's links stand for, too.
fn open_other(at: &Path) -> io::Result<Option<File>> {
    let stat = match at.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    if stat.is_file() {
        return Ok(None);
    }
    // Here only the kernel's own links are left.
    let stat = if stat.is_symlink() { at.metadata()? } else { stat };
    if stat.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    }
    let kind = stat.file_type();
    if !trusted::is_ours(&stat) && (kind.is_fifo() || kind.is_socket()) {
        return Err(io::Error::other("it is another user's"));
    }
    OpenOptions::new().append(true).open(at).map(Some)
}

fn replace(entry: &Entry, bytes: &[u8]) -> io::Result<()> {
    let mut new = unnamed(entry, 0o666)?;
    new.write_all(bytes)?;
    new.persist(beneath::at(&entry.parent.dir, &entry.name))?;
    Ok(())
}

/// A file that is written bit by bit. It has its name, and replaces what had it, when it is complete; if it never is, nothing is left
/// of it.
#[derive(Debug)]
pub struct NewFile(Kind);

#[derive(Debug)]
enum Kind {
    New(NamedTempFile, Entry),
    /// A pipe or the like.
    Other(File),
}

impl NewFile {
    /// Begins one of this mode, as open(2) has it: the umask is heeded.
    pub fn begin(path: &Path, mode: u32) -> io::Result<Self> {
        let entry = trusted::entry(path, Way::Any)?;
        if let Some(other) = open_other(&beneath::at(&entry.parent.dir, &entry.name))? {
            return Ok(Self(Kind::Other(other)));
        }
        Ok(Self(Kind::New(unnamed(&entry, mode)?, entry)))
    }

    /// It is complete.
    pub fn finish(self) -> io::Result<()> {
        if let Kind::New(new, entry) = self.0 {
            new.persist(beneath::at(&entry.parent.dir, &entry.name))?;
        }
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::New(new, _) => new.write(bytes),
            Kind::Other(other) => other.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Kind::New(new, _) => new.flush(),
            Kind::Other(other) => other.flush(),
        }
    }
}

/// A file beside where it will have its name.
fn unnamed(entry: &Entry, mode: u32) -> io::Result<NamedTempFile> {
    let dir = beneath::link(&entry.parent.dir);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".rootfs-tools-").permissions(Permissions::from_mode(mode));
    builder.tempfile_in(dir)
}

/// Opens a file to write behind its end.
pub fn append(path: &Path) -> io::Result<File> {
    let entry = trusted::entry(path, Way::Any)?;
    let at = beneath::at(&entry.parent.dir, &entry.name);
    if let Some(other) = open_other(&at)? {
        return Ok(other);
    }
    let flags = OFlags::WRONLY
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o666);
    let file = File::from(rustix::fs::openat(&entry.parent.dir, &entry.name, flags, mode)?);
    // In a directory for all, whoever made it may have meant to read it, or worse.
    let is_shared = trusted::others_write(&entry.parent.dir.metadata()?);
    if is_shared && !trusted::is_ours(&file.metadata()?) {
        return Err(io::Error::other("it is another user's"));
    }
    Ok(file)
}
