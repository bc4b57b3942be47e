//! Where the memory of each embedded file lies in the output, and the hashes of it.

use std::convert::Infallible;
use std::ops::Range;

use statify_format::manifest::Memory;
use statify_process::procfs;

use crate::classify::{Image, Region};
use crate::layout::{Plan, Segment};
use crate::place::Place;
use crate::write::for_each_run;

/// The memory of an object (by index), or all that no file backs; ascending.
pub fn memory(image: &Image, plan: &Plan, object: Option<usize>) -> Vec<Memory> {
    let mut memory: Vec<Memory> = Vec::new();
    for part in parts(image, plan, object) {
        let prot = procfs::prot_name(part.prot);
        let Part { address, size, file_offset, stored_at, .. } = part;
        let next = Memory { address, size, prot, file_offset, stored_at };
        match memory.last_mut() {
            Some(last) if continues(last, &next) => last.size += next.size,
            _ => memory.push(next),
        }
    }
    memory
}

/// Whether `next` is more of the same.
fn continues(last: &Memory, next: &Memory) -> bool {
    let after = |offset: Option<u64>| offset.map(|offset| offset + last.size);
    last.address + last.size == next.address
        && last.prot == next.prot
        && after(last.file_offset) == next.file_offset
        && after(last.stored_at) == next.stored_at
}

/// BLAKE3 of what the output holds of an object: all of it is hashed at each conversion, and this is
/// several times as fast as SHA-256.
pub fn digest(image: &Image, plan: &Plan, object: usize) -> [u8; 32] {
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut hash = blake3::Hasher::new();
    for part in parts(image, plan, Some(object)).filter(|part| part.stored_at.is_some()) {
        let segment = Segment {
            range: part.range,
            file_len: part.size,
            offset: 0,
            prot: 0,
            module: 0,
            is_hole: false,
        };
        let Ok(()) = for_each_run(image, &segment, |bytes, zeros| {
            hash.update(bytes);
            hash.update(&ZEROS[..zeros]);
            Ok::<_, Infallible>(())
        });
    }
    hash.finalize().into()
}

/// A region's share of a segment, either in the file or not.
struct Part {
    range: Range<Place>,
    address: u64,
    size: u64,
    prot: u32,
    file_offset: Option<u64>,
    stored_at: Option<u64>,
}

/// The object that a region is of. Plugins may share a module.
fn object_of(image: &Image, region: &Region) -> Option<usize> {
    let plugin = region.file.map(|(object, _)| object).filter(|of| image.plugins.contains(of));
    plugin.or(image.modules[region.module].object)
}

fn parts(image: &Image, plan: &Plan, object: Option<usize>) -> impl Iterator<Item = Part> {
    let regions = image.regions.iter().filter(move |region| object_of(image, region) == object);
    let pieces = regions.flat_map(move |region| {
        let first = plan.pieces.partition_point(|piece| piece.range.start < region.range.start);
        let own = plan.pieces[first..].iter();
        let own = own.take_while(|piece| piece.range.start < region.range.end);
        own.map(move |piece| (region, piece))
    });
    pieces
        .flat_map(move |(region, piece)| {
            let module = region.module;
            let address = plan.modules[module].start.address();
            let part = move |range: Range<Place>, stored_at| Part {
                address: address + (range.start - image.modules[module].range.start),
                size: range.end - range.start,
                prot: piece.prot,
                file_offset: region
                    .file
                    .map(|(_, offset)| offset + (range.start - region.range.start)),
                stored_at,
                range,
            };
            let within = |range: Range<Place>| {
                let start = range.start.max(piece.range.start);
                start..range.end.min(piece.range.end).max(start)
            };
            let overlapping = plan.segments.iter().filter(|segment| {
                segment.range.start < piece.range.end && piece.range.start < segment.range.end
            });
            overlapping.flat_map(move |segment| {
                let stored = within(segment.file_range());
                let offset = segment.offset + (stored.start - segment.range.start);
                let zero = within(segment.file_range().end..segment.range.end);
                [part(stored, Some(offset)), part(zero, None)]
            })
        })
        .filter(|part| part.size > 0)
}
