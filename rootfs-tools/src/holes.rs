//! Where a file has data, and where nothing but a hole: lseek(2), SEEK_DATA and SEEK_HOLE.

use std::fs::File;
use std::io;
use std::ops::Range;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// The next range with data at or behind `at`, of a file of `len` bytes; `None` if nothing but a hole is
/// left. It is never empty.
pub fn next_data(file: &File, at: u64, len: u64) -> io::Result<Option<Range<u64>>> {
    if at >= len {
        return Ok(None);
    }
    let start = match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        // The file system knows of no holes.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => at,
        Err(errno) => return Err(errno.into()),
    };
    if start >= len {
        return Ok(None);
    }
    let end = rustix::fs::seek(file, SeekFrom::Hole(start)).unwrap_or(len);
    Ok(Some(start..if end > start { end.min(len) } else { len }))
}
