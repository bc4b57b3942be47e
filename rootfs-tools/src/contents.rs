//! Copies and hashes of files' contents.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use sha2::{Digest, Sha256};
use statify::manifest::hex;

use crate::holes;

/// Opens a regular file to read, without leaving a trace in its time of access where that is allowed,
/// and not through a link.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let open = |more| OpenOptions::new().read(true).custom_flags(flags | more).open(path);
    match open(libc::O_NOATIME) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => open(0),
        other => other,
    }
}

/// SHA-256 of a whole file, in hexadecimal.
pub fn sha256(mut file: &File) -> io::Result<String> {
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

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Makes the new file `to` from the next `size` bytes of `from`, with holes where blocks have nothing
/// but zeros. Nobody else can open it yet.
pub fn receive(from: &mut dyn Read, size: u64, to: &Path) -> io::Result<File> {
    const BLOCK: usize = 4096;
    let new = create(to)?;
    new.set_len(size)?;
    let mut buffer = vec![0; 32 * BLOCK];
    let mut at = 0;
    while at < size {
        let len = buffer.len().min(usize::try_from(size - at).unwrap_or(usize::MAX));
        from.read_exact(&mut buffer[..len])?;
        let blocks: Vec<_> = buffer[..len].chunks(BLOCK).collect();
        let is_hole = |block: &[u8]| block.iter().all(|&byte| byte == 0);
        let mut start = 0;
        for run in blocks.chunk_by(|one, next| is_hole(one) == is_hole(next)) {
            let end = (start + run.len() * BLOCK).min(len);
            if !is_hole(run[0]) {
                new.write_all_at(&buffer[start..end], at + start as u64)?;
            }
            start = end;
        }
        at += len as u64;
    }
    Ok(new)
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
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn what_is_received_has_holes() {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = vec![0; (1 << 20) + 5000];
        for at in [0, 300_000, 303_000, (1 << 20) + 4999] {
            bytes[at] = 1;
        }
        let receive =
            |name: &str, size| receive(&mut bytes.as_slice(), size, &dir.path().join(name));
        let whole = receive("whole", bytes.len() as u64).unwrap();
        assert_eq!(std::fs::read(dir.path().join("whole")).unwrap(), bytes);
        assert!(whole.metadata().unwrap().blocks() <= 6 * 8, "{:?}", whole.metadata());
        assert!(receive("short", bytes.len() as u64 + 1).is_err());
    }

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
