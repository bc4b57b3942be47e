//! What the file system offers for sharing blocks: files that share a block (ioctl_ficlonerange(2)), and the
//! unit in which it does.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use statify_elf::PAGE;
use statify_files::trusted::Place;

use crate::error::{Error, Result};

/// Files begin at multiples of this in the donor ([`super::donor`]): more than any file system's block.
pub(crate) const START: u64 = 1 << 20;

/// Whether blocks are shared with libraries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reflink {
    /// Where the file system can.
    #[default]
    Auto,
    /// Not at all.
    Never,
    /// Nothing is done where the file system cannot.
    Always,
}

/// Whether what is wanted can be had for files in `dir`.
pub(crate) fn check(place: &Place, wanted: Reflink) -> Result<()> {
    unnamed(&place.dir, &place.path, wanted).map(drop)
}

/// A file without a name in `dir`, which is shown as `path`, and the unit in which its file system shares.
pub(crate) fn unnamed(dir: &File, path: &Path, wanted: Reflink) -> Result<Option<(File, u64)>> {
    match (wanted, try_unnamed(dir, wanted)) {
        (_, Ok(found)) => Ok(found),
        (Reflink::Always, Err(source)) => Err(Error::NoReflinks(path.to_owned(), source)),
        (_, Err(_)) => Ok(None),
    }
}

fn try_unnamed(dir: &File, wanted: Reflink) -> io::Result<Option<(File, u64)>> {
    if wanted == Reflink::Never {
        return Ok(None);
    }
    let flags = OFlags::TMPFILE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(dir, ".", flags, Mode::RUSR)?);
    let block = rustix::fs::fstatfs(&file)?.f_bsize;
    let block = u64::try_from(block).unwrap_or(PAGE).max(PAGE);
    if !block.is_power_of_two() || block > START {
        return Err(io::Error::other("its blocks are of an odd size"));
    }
    // Whether it can: a block of this very file.
    file.write_all_at(&vec![1; block as usize], 0)?;
    clone_range(&file, 0, block, &file, START)?;
    file.set_len(0)?;
    Ok(Some((file, block)))
}

/// Runs of whole blocks in which two pieces of the same length do not differ.
pub(crate) fn equal_blocks(one: &[u8], other: &[u8], block: u64) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    let blocks = one.chunks(block as usize).zip(other.chunks(block as usize));
    for (index, _) in blocks.enumerate().filter(|(_, (one, other))| one == other) {
        let start = index as u64 * block;
        match runs.last_mut() {
            Some(last) if last.end == start => last.end += block,
            _ => runs.push(start..start + block),
        }
    }
    runs
}

/// Makes `len` bytes of `to` blocks that it shares with `from`; up to the end of that if `len` is 0.
pub(crate) fn clone_range(
    from: &File,
    offset: u64,
    len: u64,
    to: &File,
    at: u64,
) -> io::Result<()> {
    let range = libc::file_clone_range {
        src_fd: from.as_raw_fd().into(),
        src_offset: offset,
        src_length: len,
        dest_offset: at,
    };
    // SAFETY: the kernel reads this structure, and both files are open.
    match unsafe { libc::ioctl(to.as_raw_fd(), libc::FICLONERANGE, &range) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_equal_blocks() {
        let one: Vec<u8> = (0..10).flat_map(|block| [block; 8]).collect();
        let mut other = one.clone();
        other[3 * 8 + 7] ^= 1;
        other[9 * 8] ^= 1;
        assert_eq!(equal_blocks(&one, &other, 8), [0..24, 32..72]);
        let whole = 0..80;
        assert_eq!(equal_blocks(&one, &one, 8), [whole]);
        assert_eq!(equal_blocks(&one[..0], &one[..0], 8), []);
    }
}
