//! Copies and hashes of files' contents.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};
use statify_elf::holes;
use statify_format::manifest::hex;

/// Opens a regular file to read, without leaving a trace in its time of access where that is allowed,
/// and not through a link.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let open = |more| OpenOptions::new().read(true).custom_flags(flags | more).open(path);
    let file = match open(libc::O_NOATIME) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => open(0)?,
        other => other?,
    };
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file")) }
}

/// SHA-256 of a whole program or library, in hexadecimal. What is far too large is refused.
pub fn sha256(mut file: &File) -> io::Result<String> {
    holes::check(file)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 17];
    file.seek(SeekFrom::Start(0))?;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            len => hash.update(&buffer[..len]),
        }
    }
}

/// Makes the new file `to` with the contents of `from`: sharing its blocks where the file system can
/// (ioctl_ficlone(2)), else copied with its holes. Nobody else can open it yet.
pub fn copy(from: &File, to: &Path) -> io::Result<File> {
    let new = create(to)?;
    if rustix::fs::ioctl_ficlone(&new, from).is_err() {
        copy_data(from, &new)?;
    }
    Ok(new)
}

/// Makes a new file to write to and read from. Nobody else can open it yet.
pub fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

fn copy_data(mut from: &File, mut to: &File) -> io::Result<()> {
    let len = from.metadata()?.len();
    to.set_len(len)?;
    let mut at = 0;
    while let Some(Range { start, end }) = holes::next_data(from, at, len)? {
        from.seek(SeekFrom::Start(start))?;
        to.seek(SeekFrom::Start(start))?;
        let copied = io::copy(&mut from.take(end - start), &mut to)?;
        if copied != end - start {
            return Err(io::Error::other("it became shorter while it was copied"));
        }
        at = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, MetadataExt};

    use super::*;

    #[test]
    fn holes_stay_holes() {
        let dir = tempfile::tempdir().unwrap();
        let from = File::create_new(dir.path().join("from")).unwrap();
        from.write_all_at(b"first", 0).unwrap();
        from.write_all_at(b"last", 8 << 20).unwrap();
        from.set_len(16 << 20).unwrap();
        let from = open(&dir.path().join("from")).unwrap();
        let to = copy(&from, &dir.path().join("to")).unwrap();
        assert_eq!(sha256(&from).unwrap(), sha256(&to).unwrap());
        assert!(to.metadata().unwrap().blocks() <= from.metadata().unwrap().blocks() + 16);
    }
}
