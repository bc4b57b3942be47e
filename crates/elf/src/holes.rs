//! Where a file has data, and where nothing but a hole: lseek(2), SEEK_DATA and SEEK_HOLE; and which
//! files are not read because their size says nothing of what is in them. A file of terabytes is made
//! by one call, and whoever reads it whole does so for hours.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// No program or library has more bytes; nor has a converted file more that are stored.
pub const LARGEST: u64 = 16 << 30;
/// A file may have this much of holes, in bytes, and as much as it has data if that is more.
const MOST_HOLES: u64 = 64 << 20;

/// Refuses to read a program, library or what belongs to it whole if it has more bytes than any, or
/// far more holes than data.
pub fn check(file: &File) -> io::Result<()> {
    let len = file.metadata()?.len();
    if len > LARGEST {
        return Err(too_large(format!(
            "it has {len} bytes, more than any program or library; it is not read"
        )));
    }
    check_holes(file)
}

fn too_large(sentence: String) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, sentence)
}

/// The same of a file that may be of any size.
pub fn check_holes(file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    let len = metadata.len();
    // Of most files this is all: blocks are of 512 bytes, whatever the file system's are (stat(2)).
    // Where those are compressed there may be fewer.
    if len.saturating_sub(metadata.blocks().saturating_mul(512)) <= MOST_HOLES {
        return Ok(());
    }
    let place = rustix::fs::seek(file, SeekFrom::Current(0))?;
    let data = data_in(file, len);
    rustix::fs::seek(file, SeekFrom::Start(place))?;
    judge(len, data?)
}

/// The same of `len` bytes of which `data` are in no hole.
pub fn judge(len: u64, data: u64) -> io::Result<()> {
    if len.saturating_sub(data) > data.max(MOST_HOLES) {
        return Err(too_large(format!(
            "it has {len} bytes, of which {data} are there and the rest is a hole; it is not read"
        )));
    }
    Ok(())
}

fn data_in(file: &File, len: u64) -> io::Result<u64> {
    let (mut data, mut at) = (0, 0);
    while let Some(range) = next_data(file, at, len)? {
        data += range.end - range.start;
        at = range.end;
    }
    Ok(data)
}

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

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn holes_are_as_large_as_what_is_there() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all_at(b"data", 0).unwrap();
        for (len, good) in [(4, true), (MOST_HOLES, true), (MOST_HOLES + (1 << 20), false)] {
            file.set_len(len).unwrap();
            assert_eq!(check(&file).is_ok(), good, "{len}");
        }
        // Where reading goes on has not changed.
        let mut first = [0; 4];
        file.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"data");
        file.set_len(LARGEST + 1).unwrap();
        assert!(check(&file).unwrap_err().to_string().contains("more than any program"));
        assert!(check_holes(&file).unwrap_err().to_string().contains("is a hole"));
    }
}
