//! An excerpt of a file tells the same as the whole file.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    elfscan::scan::assert_excerpt_suffices(bytes);
});
