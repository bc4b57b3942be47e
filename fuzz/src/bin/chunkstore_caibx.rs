//! Whatever the bytes: an index of casync or desync is read or refused, and what is read can be written.

#![no_main]

use chunkstore::exchange::Caibx;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(caibx) = Caibx::parse(bytes) {
        assert_eq!(Caibx::parse(&caibx.to_bytes()).as_ref(), Ok(&caibx));
    }
});
