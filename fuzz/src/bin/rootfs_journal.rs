#![no_main]
//! A journal of rootfs-tools that may be anything.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = rootfs_tools::journal::parse(bytes);
});
