//! Everything that can be asked of an ELF file.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    statify_elf::look_at_everything(bytes);
});
