//! What files take up on the disk if blocks that they share count once, as reflinks and deduplication
//! leave them: FIEMAP (the kernel's Documentation/filesystems/fiemap.rst).

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fiemap::{Fiemap, FiemapExtentFlags as Flags, FiemapFlags};
use rayon::prelude::*;
use statify_files::contents;

use crate::measure::size::BLOCK;

/// Where shared data lies: device, from, to.
type Place = (u64, u64, u64);

/// What was found out.
#[derive(Default)]
struct Found {
    /// Bytes that nobody shares.
    own: u64,
    /// Bytes that may be shared, by somebody here or elsewhere.
    shared: Vec<Place>,
    /// A file system said where something lies.
    told: bool,
}

impl Found {
    fn add(mut self, other: Self) -> Self {
        // The longer list stays where it is.
        let (mut shared, less) = match self.shared.len() < other.shared.len() {
            true => (other.shared, self.shared),
            false => (self.shared, other.shared),
        };
        shared.extend(less);
        self.own += other.own;
        self.told |= other.told;
        Self { shared, ..self }
    }
}

/// Bytes that the regular files `files` take up, a file each; `None` where the file system does not
/// say where data lies. Where it does not for some of them, these count with their blocks.
pub(crate) fn of_files(files: &[PathBuf]) -> Option<u64> {
    let found = files.par_iter().map(|file| of_file(file)).reduce(Found::default, Found::add);
    found.told.then(|| found.own + once(found.shared))
}

fn of_file(path: &Path) -> Found {
    extents(path).unwrap_or_else(|_| {
        let own = path.symlink_metadata().map_or(0, |stat| stat.blocks() * BLOCK);
        Found { own, ..Found::default() }
    })
}

fn extents(path: &Path) -> io::Result<Found> {
    let file = contents::open(path)?;
    let stat: Metadata = file.metadata()?;
    let mut found = Found { told: true, ..Found::default() };
    for extent in Fiemap::with_flags(&file, FiemapFlags::SYNC) {
        let extent = extent?;
        if extent.fe_flags.contains(Flags::SHARED) {
            let end = extent.fe_physical.saturating_add(extent.fe_length);
            found.shared.push((stat.dev(), extent.fe_physical, end));
        } else {
            found.own = found.own.saturating_add(extent.fe_length);
        }
    }
    Ok(found)
}

/// The bytes of all places, what several have counting once.
fn once(mut places: Vec<Place>) -> u64 {
    places.sort_unstable();
    let mut sum = 0;
    let mut behind = (0, 0);
    for (device, start, end) in places {
        let known = if behind.0 == device { behind.1 } else { 0 };
        sum += end.saturating_sub(start.max(known));
        behind = (device, end.max(known));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_counts_once() {
        assert_eq!(once(vec![]), 0);
        assert_eq!(once(vec![(1, 100, 200), (1, 0, 50), (1, 100, 200), (1, 150, 250)]), 200);
        assert_eq!(once(vec![(1, 0, 100), (1, 20, 30), (1, 90, 110), (2, 0, 100)]), 210);
    }

    #[test]
    fn as_the_file_system_counts_where_nothing_is_shared() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, [1; 100_000]).unwrap();
        if let Some(size) = of_files(&[path]) {
            assert!((100_000..200_000).contains(&size), "{size}");
        }
    }
}
