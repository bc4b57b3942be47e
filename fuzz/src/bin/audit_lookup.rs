//! Symbol lookup, function tables and what else an audit reads of a file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| elfscan::audit::read_file(bytes));
