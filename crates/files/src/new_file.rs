//! Files that a user asks for beside what a run makes (reports, logs): never through another user's link, and
//! never into another user's file.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
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
    let mut new = Unnamed::begin(entry, 0o666)?;
    new.file().write_all(bytes)?;
    new.name(entry)
}

/// A file that is written bit by bit. It has its name, and replaces what had it, when it is complete; if it never is, nothing is left
/// of it, also after SIGKILL where the file system has files without names (O_TMPFILE).
#[derive(Debug)]
pub struct NewFile(Kind);

#[derive(Debug)]
enum Kind {
    New(Unnamed, Entry),
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
        Ok(Self(Kind::New(Unnamed::begin(&entry, mode)?, entry)))
    }

    /// How long it is now, in bytes; 0 of a pipe or the like.
    pub fn length(&self) -> io::Result<u64> {
        match &self.0 {
            Kind::New(new, _) => Ok(new.as_file().metadata()?.len()),
            Kind::Other(_) => Ok(0),
        }
    }

    /// Takes back what was written behind so many bytes. What went into a pipe or the like stays there.
    pub fn cut(&mut self, len: u64) -> io::Result<()> {
        if let Kind::New(new, _) = &mut self.0 {
            new.as_file().set_len(len)?;
            new.file().seek(SeekFrom::Start(len))?;
        }
        Ok(())
    }

    /// It is complete.
    pub fn finish(self) -> io::Result<()> {
        if let Kind::New(new, entry) = self.0 {
            new.name(&entry)?;
        }
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::New(new, _) => new.file().write(bytes),
            Kind::Other(other) => other.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Kind::New(new, _) => new.file().flush(),
            Kind::Other(other) => other.flush(),
        }
    }
}

/// A file where it will have its name, which it has not yet.
#[derive(Debug)]
enum Unnamed {
    /// It has none.
    Hidden(File),
    /// It has another one, where the file system wants every file to have one.
    Beside(NamedTempFile),
}

impl Unnamed {
    fn begin(entry: &Entry, mode: u32) -> io::Result<Self> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let opened =
            rustix::fs::openat(&entry.parent.dir, ".", flags, Mode::from_raw_mode(mode & 0o7777));
        match opened {
            Ok(file) => return Ok(Self::Hidden(file.into())),
            // File systems that have none, and kernels that do not know the flag.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut builder = beside();
        builder.permissions(Permissions::from_mode(mode));
        let made = builder.tempfile_in(beneath::link(&entry.parent.dir));
        made.map(Self::Beside).map_err(without_path)
    }

    fn as_file(&self) -> &File {
        match self {
            Self::Hidden(file) => file,
            Self::Beside(file) => file.as_file(),
        }
    }

    fn file(&mut self) -> &mut File {
        match self {
            Self::Hidden(file) => file,
            Self::Beside(file) => file.as_file_mut(),
        }
    }

    /// Gives it its name, which may be another file's until then.
    fn name(self, entry: &Entry) -> io::Result<()> {
        let at = beneath::at(&entry.parent.dir, &entry.name);
        match self {
            Self::Beside(file) => file.persist(at).map(drop)?,
            // A link replaces nothing; a name that is made does.
            Self::Hidden(file) => {
                let link = beneath::link(&file);
                let named = beside().make_in(beneath::link(&entry.parent.dir), |path| {
                    Ok(rustix::fs::linkat(CWD, &link, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
                });
                named.map_err(without_path)?.persist(at).map(drop)?;
            }
        }
        Ok(())
    }
}

/// An error without the path by which the directory is found, which says nothing to people.
fn without_path(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(std::error::Error::source);
    let errno = inner.and_then(|inner| inner.downcast_ref::<io::Error>()?.raw_os_error());
    errno.map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

/// How files are called until they have their names.
fn beside() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".statify-");
    builder
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_has_its_name_when_it_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new");
        std::fs::write(&path, "old").unwrap();
        let mut file = NewFile::begin(&path, 0o600).unwrap();
        file.write_all(b"whole and more").unwrap();
        // Nothing stands beside it, so nothing is left of it whatever ends the process.
        assert_eq!(names(dir.path()), ["new"]);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        file.cut(5).unwrap();
        file.write_all(b"!").unwrap();
        assert_eq!(file.length().unwrap(), 6);
        file.finish().unwrap();
        assert_eq!(names(dir.path()), ["new"]);
        assert_eq!(std::fs::read(&path).unwrap(), b"whole!");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        drop(NewFile::begin(&dir.path().join("other"), 0o600).unwrap());
        // Of another file system, in which nobody makes files.
        let error = NewFile::begin(Path::new("/proc/self/other"), 0o600).unwrap_err();
        assert!(!error.to_string().contains("fd/"), "{error}");
        assert_eq!(names(dir.path()), ["new"]);
    }
}
