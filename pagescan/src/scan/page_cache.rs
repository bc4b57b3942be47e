//! The page cache: which pages of which files are in memory, and what they hold.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::ops::Range;

use super::cached_runs::{CachedRun, Finder, in_both};
use super::progress::Progress;
use super::ram::{self, Means};
use crate::kernel::mounts::Mounts;
use crate::kernel::{Inode, Inodes, Lack, StructPages, Types};
use crate::snapshot::{File, PageFlags, Writer};

/// So many frames at once. No large page but those of a GiB lies across their ends.
const BLOCK: u64 = 32 << 10;

/// What the page cache is found by.
pub struct PageCache {
    structs: StructPages,
    inodes: Inodes,
    mounts: Mounts,
}

impl PageCache {
    /// Finds out whether it can be done here.
    pub fn new() -> Result<Self, Lack> {
        let types = Types::of_kernel()?;
        let structs = StructPages::find(&types)?;
        Ok(Self { structs, inodes: Inodes::new(&types)?, mounts: Mounts::of_this_process() })
    }

    /// Writes frames with these numbers that cache files, and then the files with their pages. A page that went to another file or
    /// frame while it was read is left out. Takes 32 bytes for each run of pages and 200 for each file besides what `means` takes.
    ///
    /// A file's path is the one by which this process finds it, whatever is mounted above it; where its file system is not mounted
    /// here (of a container, say) it begins at the root of that. It ends in ` (deleted)` as in /proc/PID/maps, and is empty if the
    /// kernel has no name in memory.
    pub fn write<W: Write>(
        &mut self,
        means: &Means,
        ranges: &[Range<u64>],
        writer: &mut Writer<W>,
        progress: &mut dyn FnMut(Progress),
    ) -> io::Result<()> {
        let means = &Means { uses: Some(&self.structs), ..*means };
        let total = ranges.iter().map(|range| range.end.saturating_sub(range.start)).sum();
        let mut done = 0;
        let mut files = Files::default();
        // What is found before contents are read and after that.
        let mut finders = [Finder::default(), Finder::default()];
        for block in ram::blocks(ranges, BLOCK) {
            let len = block.end - block.start;
            let [first, second] = &mut finders;
            let words = means.pages.words(block.start, len);
            let before = self.runs(first, block.clone(), &words);
            let before = files.known(before, &mut self.inodes);
            let mut frames = ram::describe(means, &numbers(&before));
            ram::fill(means, &mut frames);
            let after = self.runs(second, block, &words);
            let held = in_both(&before, &after);
            let mut frames = frames.iter();
            for run in held {
                let mut index = None;
                for number in run.frame..run.frame + run.len {
                    // Ascending, as what is held is a part of them.
                    let Some((_, attributes, hash)) = frames.find(|frame| frame.0 == number) else {
                        break;
                    };
                    let at = writer.frame(Some(number), *attributes, *hash)?;
                    index.get_or_insert(at);
                }
                if let Some(index) = index {
                    files.place(run, index);
                }
            }
            done += len;
            progress(Progress { done, total });
        }
        files.write(&self.mounts, writer)
    }

    /// What struct pages say of a block, but of those that are no file's by their words.
    fn runs(&self, finder: &mut Finder, block: Range<u64>, words: &[u64]) -> Vec<CachedRun> {
        let structs = self.structs.of(block.clone());
        for ((frame, word), page) in block.zip(words).zip(&structs) {
            finder.frame(frame, *word, page);
        }
        finder.take()
    }
}

fn numbers(runs: &[CachedRun]) -> Vec<u64> {
    runs.iter().flat_map(|run| run.frame..run.frame + run.len).collect()
}

/// Pages of a file that follow one another, in frames whose indexes do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pages {
    /// Which of the files.
    file: usize,
    /// The first page's number in it.
    page: u64,
    /// The first frame's index.
    frame: u64,
    /// How many.
    len: u64,
}

/// The files that were met.
#[derive(Default)]
struct Files {
    /// By struct address_space; none where there is no inode.
    by_mapping: HashMap<u64, Option<usize>>,
    inodes: Vec<Inode>,
    pages: Vec<Pages>,
}

impl Files {
    /// The runs of what is a file. Those that are new are asked for.
    fn known(&mut self, mut runs: Vec<CachedRun>, inodes: &mut Inodes) -> Vec<CachedRun> {
        let mut new: Vec<_> = runs.iter().map(|run| run.mapping).collect();
        new.sort_unstable();
        new.dedup();
        new.retain(|mapping| !self.by_mapping.contains_key(mapping));
        for (mapping, inode) in new.iter().zip(inodes.of(&new)) {
            let at = inode.map(|inode| {
                self.inodes.push(inode);
                self.inodes.len() - 1
            });
            self.by_mapping.insert(*mapping, at);
        }
        runs.retain(|run| self.by_mapping.get(&run.mapping).is_some_and(Option::is_some));
        runs
    }

    fn place(&mut self, run: CachedRun, index: u64) {
        if let Some(&Some(file)) = self.by_mapping.get(&run.mapping) {
            self.pages.push(Pages { file, page: run.page, frame: index, len: run.len });
        }
    }

    fn write<W: Write>(mut self, mounts: &Mounts, writer: &mut Writer<W>) -> io::Result<()> {
        self.pages.sort_unstable();
        for of_file in self.pages.chunk_by(|a, b| a.file == b.file) {
            let inode = &self.inodes[of_file[0].file];
            let (major, minor) = inode.device;
            writer.file(File {
                device: libc::makedev(major, minor),
                inode: inode.number,
                path: path(inode, mounts),
                size: inode.size,
            })?;
            for pages in once(of_file) {
                for at in 0..pages.len {
                    let flags = PageFlags::default();
                    writer.page(pages.page + at, pages.frame + at, flags)?;
                }
            }
        }
        Ok(())
    }
}

/// Each page once: those that went to another frame during the scan may have been met there again.
fn once(sorted: &[Pages]) -> impl Iterator<Item = Pages> {
    let mut end = 0u64;
    sorted.iter().map(move |pages| {
        let met = end.saturating_sub(pages.page).min(pages.len);
        end = end.max(pages.page + pages.len);
        Pages { page: pages.page + met, frame: pages.frame + met, len: pages.len - met, ..*pages }
    })
}

/// A file's path.
fn path(inode: &Inode, mounts: &Mounts) -> Vec<u8> {
    let names = &inode.names;
    if names.path.is_empty() {
        return inode.block_device.map(device_path).unwrap_or_default();
    }
    let mounted = if names.is_alone { None } else { mounts.path(inode.device, &names.path) };
    let mut path = mounted.unwrap_or_else(|| names.path.clone());
    if names.is_deleted {
        path.extend_from_slice(b" (deleted)");
    }
    path
}

/// Where a block device usually is.
fn device_path((major, minor): (u32, u32)) -> Vec<u8> {
    let text = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/uevent"));
    let text = text.unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("DEVNAME="));
    name.map(|name| format!("/dev/{name}").into_bytes()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Names;

    #[test]
    fn files_without_a_name_get_none() {
        let mounts = Mounts::parse(b"27 1 254:0 / / rw - ext4 /dev/vda rw\n");
        let device = (254, 0);
        let of = |path: &[u8], is_deleted| {
            let names = Names { path: path.to_vec(), is_deleted, is_alone: false };
            super::path(&Inode { device, names, ..Inode::default() }, &mounts)
        };
        assert_eq!(of(b"", false), b"");
        assert_eq!(of(b"/a", false), b"/a");
        assert_eq!(of(b"/a", true), b"/a (deleted)");
    }

    #[test]
    fn pages_that_were_met_twice_are_said_once() {
        let pages = |page, frame, len| Pages { file: 0, page, frame, len };
        let met =
            [pages(0, 9, 2), pages(1, 30, 3), pages(2, 50, 1), pages(8, 0, 1), pages(8, 1, 1)];
        let said: Vec<_> = once(&met).filter(|pages| pages.len > 0).collect();
        assert_eq!(said, [pages(0, 9, 2), pages(2, 31, 2), pages(8, 0, 1)]);
    }
}
