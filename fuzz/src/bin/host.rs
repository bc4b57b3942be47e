//! What a file of any bytes may take from the host: imports, their calls, texts, embedded modules.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = elfscan::host::examine_bytes(bytes);
});
