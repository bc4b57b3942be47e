#![no_main]
//! An /etc/ld.so.cache that may be anything.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rootfs_tools::cache::loader_cache::fuzz(bytes));
