//! Blocks of the file system that converted programs share with the libraries in them
//! (ioctl_ficlonerange(2)), in place of a copy of their pages in each.
//!
//! Each embedded file is cloned as a whole, once a run, into the *donor*: a file without a name, which
//! nobody else can write to and which is gone with this process, however that ends. What a program
//! embeds is compared with the donor's bytes and then cloned from there. So it does not matter what is
//! done to the library meanwhile: what was compared is what becomes part of the output. To clone from
//! the library itself would need FIDEDUPERANGE, which compares with a lock held, but can only replace
//! what was written to the disk before.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use statify::sharing::Sharing;
use statify_files::contents;
use statify_room::Root;

use super::reflink::{self, Reflink, START, clone_range, equal_blocks};
use crate::error::Result;
use crate::tree::Tree;

/// Compared at once, in bytes.
const PIECE: usize = 256 << 10;

/// Clones of the files that are embedded.
#[derive(Debug)]
pub struct Donor {
    /// Where the files are.
    root: Root,
    file: File,
    /// The unit in which the file system shares.
    block: u64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Where each file lies in the donor; none if it could not be cloned.
    files: HashMap<PathBuf, Option<Range<u64>>>,
    /// Where blocks of outputs lie in it, by a hash that says that they may be the same.
    blocks: HashMap<u64, u64>,
    /// Blocks that were written to outputs which are not complete yet: by inode, the hashes and
    /// offsets.
    written: HashMap<u64, Vec<(u64, u64)>>,
    end: u64,
}

impl Donor {
    /// A donor for the files of `tree`, if blocks are to be shared, and can be.
    pub fn open(tree: &Tree, wanted: Reflink) -> Result<Option<Self>> {
        let top = tree.top()?;
        let Some((file, block)) = reflink::unnamed(top.file(), &tree.path, wanted)? else {
            return Ok(None);
        };
        let kept = Mutex::default();
        Ok(Some(Self { root: tree.root.clone(), file, block, kept }))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a file's bytes lie in the donor, which it is cloned into if it is not there yet.
    fn keep(&self, path: &Path) -> Option<Range<u64>> {
        let mut kept = self.kept();
        if let Some(known) = kept.files.get(path) {
            return known.clone();
        }
        let range = self.add(path, kept.end).ok();
        if let Some(range) = &range {
            kept.end = range.end.next_multiple_of(START);
        }
        kept.files.insert(path.to_owned(), range.clone());
        range
    }

    fn add(&self, path: &Path, start: u64) -> io::Result<Range<u64>> {
        let found = self.root.find(path)?;
        if !found.link().metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let file = File::open(found.link())?;
        // Up to its end, whatever that is by then.
        clone_range(&file, 0, 0, &self.file, start)?;
        Ok(start..self.file.metadata()?.len())
    }

    /// From here on other outputs can share what was written to this one, which is complete. That it
    /// cannot be had is no error.
    pub fn remember(&self, output: &Path) {
        let _ = contents::open(output).and_then(|output| self.try_remember(&output));
    }

    fn try_remember(&self, output: &File) -> io::Result<()> {
        let mut kept = self.kept();
        let Some(written) = kept.written.remove(&output.metadata()?.ino()) else {
            return Ok(());
        };
        for run in written.chunk_by(|one, next| one.1 + self.block == next.1) {
            let (start, first) = (kept.end, run[0].1);
            clone_range(output, first, run.len() as u64 * self.block, &self.file, start)?;
            kept.blocks.extend(run.iter().map(|(hash, at)| (*hash, start + (at - first))));
            kept.end += run.len() as u64 * self.block;
        }
        kept.end = kept.end.next_multiple_of(START);
        Ok(())
    }
}

impl Sharing for Donor {
    fn share(
        &self,
        file: &Path,
        offset: u64,
        bytes: &[u8],
        output: &File,
        at: u64,
    ) -> Vec<Range<u64>> {
        let mut shared = Vec::new();
        if !at.abs_diff(offset).is_multiple_of(self.block) {
            return shared;
        }
        let Some(kept) = self.keep(file) else {
            return shared;
        };
        let len = (bytes.len() as u64).min((kept.end - kept.start).saturating_sub(offset));
        // Whole blocks only.
        let first = offset.next_multiple_of(self.block) - offset;
        let end = ((offset + len) & !(self.block - 1)).saturating_sub(offset);
        let same = |buffer: &mut Vec<u8>, range: &Range<u64>| -> io::Result<Vec<Range<u64>>> {
            buffer.resize((range.end - range.start) as usize, 0);
            self.file.read_exact_at(buffer, kept.start + offset + range.start)?;
            Ok(equal_blocks(&bytes[range.start as usize..range.end as usize], buffer, self.block))
        };
        let mut runs: Vec<Range<u64>> = Vec::new();
        let mut buffer = Vec::new();
        for start in (first..end).step_by(PIECE) {
            let piece = start..end.min(start + PIECE as u64);
            let Ok(equal) = same(&mut buffer, &piece) else {
                return shared;
            };
            for run in equal {
                let run = start + run.start..start + run.end;
                match runs.last_mut() {
                    Some(last) if last.end == run.start => last.end = run.end,
                    _ => runs.push(run),
                }
            }
        }
        for run in runs {
            let (from, len) = (kept.start + offset + run.start, run.end - run.start);
            // What cannot be cloned is written.
            if clone_range(&self.file, from, len, output, at + run.start).is_ok() {
                shared.push(run);
            }
        }
        shared
    }

    fn share_repeated(&self, bytes: &[u8], output: &File, at: u64) -> Vec<Range<u64>> {
        let Ok(inode) = output.metadata().map(|output| output.ino()) else {
            return Vec::new();
        };
        let first = (at.next_multiple_of(self.block) - at) as usize;
        let blocks = bytes.get(first..).unwrap_or_default().chunks_exact(self.block as usize);
        let mut written = Vec::new();
        // Where in the donor each run is, and where in `bytes`.
        let mut runs: Vec<(u64, Range<u64>)> = Vec::new();
        let mut there = vec![0; self.block as usize];
        for (index, block) in blocks.enumerate() {
            let start = first as u64 + index as u64 * self.block;
            let mut hash = DefaultHasher::new();
            block.hash(&mut hash);
            let hash = hash.finish();
            let known = self.kept().blocks.get(&hash).copied();
            let same =
                |from: &u64| self.file.read_exact_at(&mut there, *from).is_ok() && there == block;
            let Some(from) = known.filter(same) else {
                written.push((hash, at + start));
                continue;
            };
            match runs.last_mut() {
                Some((of, run)) if run.end == start && *of + (run.end - run.start) == from => {
                    run.end += self.block;
                }
                _ => runs.push((from, start..start + self.block)),
            }
        }
        self.kept().written.entry(inode).or_default().extend(written);
        let cloned = |(from, run): &(u64, Range<u64>)| {
            clone_range(&self.file, *from, run.end - run.start, output, at + run.start).is_ok()
        };
        runs.into_iter().filter(cloned).map(|(_, run)| run).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    /// Wherever this runs: either nothing is shared, or what is, is the same.
    #[test]
    fn what_is_shared_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..40u8).flat_map(|block| [block; 4096]).collect();
        std::fs::write(dir.path().join("library"), &bytes).unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        let Some(donor) = Donor::open(&tree, Reflink::Auto).unwrap() else {
            assert!(matches!(Donor::open(&tree, Reflink::Always), Err(Error::NoReflinks(..))));
            return;
        };
        let mut wanted = bytes.clone();
        wanted[20 * 4096] ^= 1;
        let output = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(dir.path().join("output"))
            .unwrap();
        let library = Path::new("/library");
        let shared = donor.share(library, 4096, &wanted[4096..], &output, 8192);
        assert_eq!(shared, [0..19 * 4096, 20 * 4096..39 * 4096]);
        let mut there = vec![0; 19 * 4096];
        output.read_exact_at(&mut there, 8192).unwrap();
        assert_eq!(there, wanted[4096..20 * 4096]);
        assert_eq!(donor.share(library, 4097, &wanted[4097..], &output, 8192), []);
    }
}
