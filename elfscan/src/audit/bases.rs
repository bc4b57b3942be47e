//! Where the libraries of a converted program lie, which slide by distances that stand nowhere: told from what is mapped.

use std::collections::BTreeMap;
use std::ops::Range;

use statify_format::manifest::{FileKind, Manifest, Memory};
use statify_process::procfs::Mapping;

/// Where a converted file's address 0 lies in a process, for each file of its manifest: what slides
/// alike has the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bases(pub Vec<u64>);

impl Bases {
    /// For each file, the base that most bytes of its mappings agree on: those of the output, and those of the file itself in
    /// a `pool`, told with its number.
    pub fn find<'m>(
        manifest: &Manifest,
        mappings: &[&Mapping],
        pool: impl Iterator<Item = (usize, &'m [&'m Mapping])>,
    ) -> Self {
        let slides = |index: &usize| {
            let file = manifest.files.get(*index);
            file.is_some_and(|file| file.kind != FileKind::Plugin && !file.fixed)
        };
        let indices = (0..manifest.files.len()).filter(slides);
        let stored = indices.flat_map(|index| {
            let memory = manifest.files[index].memory.iter();
            memory.filter_map(move |part| Part::new(part.stored_at?, part, index))
        });
        let mut votes = vec![BTreeMap::<u64, u64>::new(); manifest.files.len()];
        vote(stored.collect(), mappings, &mut votes);
        for (index, mappings) in pool.filter(|(index, _)| slides(index)) {
            let memory = manifest.files[index].memory.iter();
            let parts = memory.filter_map(|part| Part::new(part.file_offset?, part, index));
            vote(parts.collect(), mappings, &mut votes);
        }
        let most = |votes: BTreeMap<u64, u64>| votes.into_iter().max_by_key(|vote| vote.1);
        Self(votes.into_iter().map(|votes| most(votes).map_or(0, |vote| vote.0)).collect())
    }

    /// That of a file, by its number in the manifest.
    pub fn of(&self, index: usize) -> u64 {
        self.0.get(index).copied().unwrap_or(0)
    }
}

/// Where a part of an embedded file is in some file.
struct Part {
    offsets: Range<u64>,
    /// The virtual address in the output.
    address: u64,
    /// The embedded file's number.
    index: usize,
}

impl Part {
    /// `None` if there is no such part.
    fn new(offset: u64, memory: &Memory, index: usize) -> Option<Self> {
        let offsets = offset..offset.checked_add(memory.size)?;
        Some(Self { offsets, address: memory.address, index })
    }
}

/// Has each byte of a file's mappings vote for the base at which its part of an embedded file would be where it is.
fn vote(mut parts: Vec<Part>, mappings: &[&Mapping], votes: &mut [BTreeMap<u64, u64>]) {
    parts.sort_unstable_by_key(|part| part.offsets.start);
    for mapping in mappings {
        let end = mapping.offset.saturating_add(mapping.range.end - mapping.range.start);
        let next = parts.partition_point(|part| part.offsets.end <= mapping.offset);
        let inside = parts[next..].iter().take_while(|part| part.offsets.start < end);
        for Part { offsets, address, index } in inside {
            let from = offsets.start.max(mapping.offset);
            let len = offsets.end.min(end).saturating_sub(from);
            let at = mapping.range.start.wrapping_add(from - mapping.offset);
            let virtual_address = address.wrapping_add(from - offsets.start);
            *votes[*index].entry(at.wrapping_sub(virtual_address)).or_default() += len;
        }
    }
}
