//! dpkg's, apk's and os-release's files may hold anything.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| elfscan::sbom::look(bytes));
