//! Everything that is made of a converted file's bytes.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| elfscan::extract::everything(bytes));
