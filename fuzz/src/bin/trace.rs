#![no_main]
//! A trace that may be anything: what it comes to, without the image and with a small one.

use std::io::Write;

use chunkstore::serve::trace::reads_of;
use chunkstore::serve::trace::statistics::{Contents, statistics};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let reads = reads_of(bytes).expect("memory can be read");
    let found = statistics(&reads, None).expect("nothing is read");
    assert_eq!(found.requests + found.impossible, reads.len() as u64);
    assert!(found.distinct_bytes <= found.bytes && found.distinct_bytes <= found.image_bytes);
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&[7; 100_000]).expect("there is room");
    let image = Contents { file: &file, len: 100_000 };
    let found = statistics(&reads, Some(&image)).expect("it can be read");
    assert!(found.chunks.iter().all(|of| of.bytes <= 100_000));
});
