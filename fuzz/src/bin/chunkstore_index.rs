//! Whatever the bytes: an index of a chunk store is read or refused, and what is read can be asked.

#![no_main]

use chunkstore::index::Index;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // With the hash that its contents have, or nothing else would ever be looked at.
    let contents = &bytes[..bytes.len().saturating_sub(32)];
    let sealed = [contents, &chunkstore::ChunkName::of(contents).0].concat();
    for bytes in [bytes, &sealed] {
        if let Ok(index) = Index::parse(bytes) {
            let _ = index.filled().map(|(position, _)| index.len_at(position)).max();
            let _ = index.at(index.position_of(index.image_len / 2));
            assert_eq!(Index::parse(&index.to_bytes()).as_ref(), Ok(&index));
        }
    }
});
