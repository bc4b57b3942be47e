//! The table of the second paper's tools: a line for each page of a process or cached file; of all memory, one for each frame.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use statify_printable::cell;

use super::ids;
use super::output::{Output, directory};
use super::pages::{Page, pages};
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;

/// The first line. Addresses and hashes are hexadecimal, all else is decimal; what is not known is empty.
const HEAD: [&str; 12] = [
    "snapshot",
    "pid",
    "process",
    "mapping",
    "address",
    "frame",
    "frame_flags",
    "page_flags",
    "hash",
    "ref_count",
    "map_count",
    "inode",
];

/// Writes a snapshot's.
pub fn write(snapshot: &Snapshot, dir: &Path) -> Result<()> {
    let name = format!("{:016x}.csv", ids::snapshot(&snapshot.header));
    let (place, path) = directory(dir, &name)?;
    let name = OsString::from(name);
    let write = || -> io::Result<()> {
        let mut lines = csv::Writer::from_writer(Output::new(&place, &name)?);
        lines.write_record(HEAD)?;
        let mut is_used = vec![0u64; snapshot.frames.len().div_ceil(64)];
        for page in pages(snapshot) {
            is_used[page.frame / 64] |= 1 << (page.frame % 64);
            lines.write_record(line(snapshot, page.frame, Some(&page)))?;
        }
        for frame in 0..snapshot.frames.len() {
            if is_used[frame / 64] & 1 << (frame % 64) == 0 {
                lines.write_record(line(snapshot, frame, None))?;
            }
        }
        let output = lines.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
        output.finish().map(|_| ())
    };
    write().map_err(|error| Error::Output(path, error))
}

fn line(snapshot: &Snapshot, frame: usize, page: Option<&Page>) -> [String; 12] {
    let attributes = snapshot.frames.attributes(frame);
    let number = snapshot.frames.numbers.get(frame);
    let task = page.and_then(|page| page.task).map(|(task, vma)| {
        let task = &snapshot.tasks[task];
        (&task.process, &task.vmas[vma].mapping)
    });
    let file = page.and_then(|page| page.file).map(|file| &snapshot.files[file].file);
    let path =
        file.map(|file| cell(&statify_printable::path(Path::new(OsStr::from_bytes(&file.path)))));
    let address = page.map(|page| {
        let offset = page.page.saturating_mul(snapshot.header.page_size.into());
        offset.saturating_add(task.map_or(0, |(_, mapping)| mapping.range.start))
    });
    let hash = u128::from_be_bytes(snapshot.frames.hashes[frame].0);
    [
        snapshot.header.taken.to_string(),
        task.map_or(String::new(), |(process, _)| process.pid.to_string()),
        task.map_or(String::new(), |(process, _)| cell(&process.name)),
        path.or_else(|| task.map(|(_, mapping)| cell(&mapping.name))).unwrap_or_default(),
        address.map_or(String::new(), |address| format!("{address:x}")),
        number.map_or(String::new(), u64::to_string),
        attributes.flags.0.to_string(),
        page.map_or(String::new(), |page| page.flags.to_string()),
        if attributes.flags.is_hashed() { format!("{hash:032x}") } else { String::new() },
        attributes.ref_count.to_string(),
        attributes.map_count.to_string(),
        file.map_or(String::new(), |file| file.inode.to_string()),
    ]
}
