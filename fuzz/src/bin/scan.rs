//! A row of `elfscan scan`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = elfscan::scan::Facts::read(bytes);
});
