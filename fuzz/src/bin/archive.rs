#![no_main]
//! A tar archive that may be anything: what its members say, and the headers that are made of them.

use std::io::{Read, Write};

use rootfs_tools::packed::archive::compression;
use rootfs_tools::packed::archive::members::Members;
use rootfs_tools::packed::oci::whiteouts;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = compression::Compression::of(bytes);
    let mut members = Members::new(bytes);
    let mut passed = std::io::sink();
    while let Ok(Some(member)) = members.next_member() {
        let _ = whiteouts::of(&member.name);
        let _ = passed.write_all(&member.converted(1 << 20));
        let placed = member.placed(b"usr/bin/program", 1 << 20, Some(b"usr/bin/other"));
        let again = Members::new(&placed[..]).next_member().expect("a header that was made is one");
        let again = again.expect("it is there");
        assert_eq!(again.name, b"usr/bin/program");
        assert_eq!(again.link, b"usr/bin/other");
        let mut start = [0; 64];
        let _ = members.contents().read(&mut start);
    }
    let _ = members.rest(&mut passed);
});
