//! Where the bytes of two images differ, as far as their chunks say it.

use crate::index::Index;
use crate::name::ChunkName;

/// Bytes of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Range {
    /// Where they begin.
    pub offset: u64,
    /// How many they are.
    pub length: u64,
}

/// Where two images differ: at each offset by the chunks there, so in a few bytes more than those that do.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Ranges {
    /// How many there are.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The first of them.
    pub first: Vec<Range>,
}

/// What is at an offset: nothing, zeros, or so far within a chunk.
#[derive(PartialEq, Eq)]
enum There {
    Nothing,
    Zeros,
    Chunk(ChunkName, u64),
}

/// The ranges that differ; the first `most` are named.
pub fn ranges(first: &Index, second: &Index, most: usize) -> Ranges {
    let end = first.image_len.max(second.image_len);
    let mut ranges = Ranges::default();
    let mut open: Option<Range> = None;
    let mut at = 0;
    while at < end {
        let (one, one_end) = there(first, at, end);
        let (other, other_end) = there(second, at, end);
        let next = one_end.min(other_end);
        match (&mut open, one == other) {
            (Some(range), false) => range.length += next - at,
            (None, false) => open = Some(Range { offset: at, length: next - at }),
            (Some(_), true) => ranges.add(open.take(), most),
            (None, true) => {}
        }
        at = next;
    }
    ranges.add(open, most);
    ranges
}

/// What an image has at an offset, and where something else begins.
fn there(index: &Index, at: u64, end: u64) -> (There, u64) {
    if at >= index.image_len {
        return (There::Nothing, end);
    }
    let position = index.position_of(at);
    let next = index.start_of(position + 1);
    match index.at(position) {
        Some(chunk) => {
            let within = at - index.start_of(position);
            (There::Chunk(index.chunks[chunk].name, within), next)
        }
        None => (There::Zeros, next),
    }
}

impl Ranges {
    fn add(&mut self, range: Option<Range>, most: usize) {
        let Some(range) = range else { return };
        self.count += 1;
        self.bytes += range.length;
        if self.first.len() < most {
            self.first.push(range);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunking::{Bounds, Chunking};
    use crate::index::Record;
    use crate::size::ChunkSize;

    /// An image of chunks: zeros, or named so.
    fn index(chunking: Chunking, chunks: &[(u32, Option<&str>)]) -> Index {
        let len = chunks.iter().map(|(len, _)| u64::from(*len)).sum();
        let mut index = Index::new("image", chunking, len).unwrap();
        let mut at = 0;
        for (len, name) in chunks {
            if let Some(name) = name {
                let name = ChunkName::of(name.as_bytes());
                index.chunks.push(Record { name, pack: 0, offset: 0, stored: 1, len: *len });
                index.place(at, index.chunks.len() - 1);
            }
            at += u64::from(*len);
        }
        index.close();
        index
    }

    #[test]
    fn chunks_tell() {
        let fixed = Chunking::Fixed(ChunkSize::LEAST);
        let free = Chunking::ContentDefined(Bounds::new(1024, 4096, 8192).unwrap());
        let of = |chunking, names: &[&str]| {
            let names = names.iter().copied();
            let named = names.map(|name| (4096, Some(name).filter(|name| !name.is_empty())));
            index(chunking, &named.collect::<Vec<_>>())
        };
        let found = |one: &Index, other: &Index| {
            let ranges = ranges(one, other, 9);
            assert_eq!(ranges.count, ranges.first.len() as u64);
            let pairs = ranges.first.iter().map(|range| (range.offset, range.length));
            pairs.collect::<Vec<_>>()
        };
        for (one, other) in [(fixed, fixed), (free, free), (fixed, free)] {
            let (one, other) =
                (of(one, &["a", "b", "", "d", "e"]), of(other, &["a", "x", "y", "d", "", "f"]));
            let differ = [(4096, 8192), (16384, 8192)];
            assert_eq!(found(&one, &other), differ);
            assert_eq!(found(&other, &one), differ);
            assert_eq!(found(&one, &one), []);
        }
        let ranges = ranges(&of(fixed, &["a", "b", "c"]), &of(fixed, &["x", "b", "y"]), 1);
        assert_eq!((ranges.count, ranges.bytes, ranges.first.len()), (2, 8192, 1));
        // The same chunk, begun elsewhere.
        let one = index(free, &[(4096, Some("a")), (4096, Some("b"))]);
        let other = index(free, &[(2048, Some("c")), (4096, Some("a")), (2048, Some("d"))]);
        assert_eq!(found(&one, &other), [(0, 8192)]);
    }
}
