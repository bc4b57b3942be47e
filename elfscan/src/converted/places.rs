//! Addresses of a converted file: *places* of the starter's tables ([`statify_params`]) and
//! addresses of the manifest, on one scale; and which embedded file lies at one.

use std::ops::Range;

use statify_format::manifest::{EmbeddedFile, Manifest, Memory};
use statify_params::ABSOLUTE;

use super::open::Converted;

/// Where the embedded files lie.
#[derive(Clone, Debug)]
pub struct Places {
    fixed: bool,
    /// Ranges of places with the file's index; ascending.
    files: Vec<(Range<u64>, usize)>,
}

impl Places {
    /// Those of a converted file.
    pub fn of(converted: &Converted<'_>) -> Self {
        let mut places = Self { fixed: converted.is_fixed(), files: Vec::new() };
        for (index, file) in converted.manifest.files.iter().enumerate() {
            let ranges = file.memory.iter().map(|memory| places.of_memory(Some(file), memory));
            let ranges: Vec<_> = ranges.map(|range| (range, index)).collect();
            places.files.extend(ranges);
        }
        places.files.sort_unstable_by_key(|(range, _)| range.start);
        places
    }

    /// A place where all that mean the same address are one: at fixed addresses, all are absolute.
    pub fn normal(&self, place: u64) -> u64 {
        if self.fixed { place & !ABSOLUTE } else { place }
    }

    /// Of a memory that the manifest lists, of a file or of none.
    pub fn of_memory(&self, file: Option<&EmbeddedFile>, memory: &Memory) -> Range<u64> {
        let is_absolute = file.is_some_and(|file| file.fixed) && !self.fixed;
        let start = if is_absolute { memory.address | ABSOLUTE } else { memory.address };
        start..start.saturating_add(memory.size)
    }

    /// The embedded file whose memory holds `place`.
    pub fn file_at(&self, place: u64) -> Option<usize> {
        let place = self.normal(place);
        let after = self.files.partition_point(|(range, _)| range.start <= place);
        let (range, index) = self.files.get(after.checked_sub(1)?)?;
        range.contains(&place).then_some(*index)
    }
}

/// An embedded file's memory, then that of none: with the file.
pub fn all(manifest: &Manifest) -> impl Iterator<Item = (Option<&EmbeddedFile>, &Memory)> {
    let of_files = manifest
        .files
        .iter()
        .flat_map(|file| file.memory.iter().map(move |memory| (Some(file), memory)));
    of_files.chain(manifest.memory.iter().map(|memory| (None, memory)))
}
