//! The manifest of a converted file: as a note in an ELF file, and its JSON alone.

#![no_main]

use statify_elf::ElfFile;
use statify_format::manifest::Manifest;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(elf) = ElfFile::parse(bytes) {
        let _ = Manifest::read(&elf);
    }
    if let Some(manifest) = Manifest::from_json(bytes) {
        assert_eq!(Manifest::from_json(&manifest.to_json()), Some(manifest));
    }
});
