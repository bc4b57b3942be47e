//! What `elfscan deps` reads: caches, loaders, libraries, lists.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| elfscan::deps::parse_anything(bytes));
