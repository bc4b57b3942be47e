//! Whatever the bytes: a file of snapshots is read or refused, and takes no more memory than its size allows.

#![no_main]

use pagescan::snapshot::{read_all, section};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // As they are; and as a section whose checksum is right, or nothing inside would ever be looked at.
    let _ = read_all(bytes);
    let mut file = pagescan::snapshot::MAGIC.to_vec();
    section(bytes, &mut file).expect("memory can be written to");
    if let Ok(snapshots) = read_all(&file[..]) {
        for snapshot in snapshots {
            for task in &snapshot.tasks {
                for run in task.vmas.iter().flat_map(|vma| &vma.runs) {
                    assert!(run.frames().end <= snapshot.frames.len());
                }
            }
        }
    }
});
