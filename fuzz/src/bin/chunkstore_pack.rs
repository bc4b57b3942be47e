//! Whatever the bytes: a pack says what is in it, or is refused.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = chunkstore::pack::directory(bytes);
});
