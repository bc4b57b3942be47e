//! Whatever the bytes: a converted file is read, checked and described, or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| elfscan::converted::check::look(bytes));
