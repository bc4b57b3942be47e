//! Contents by /proc/PID/mem: unlike process_vm_readv(2) it pins no page, so that it neither unmerges nor copies any.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::contents::{Content, Contents, Wanted};
use crate::hash::Hasher;
use crate::page::PAGE;
use statify_process::ProcessDir;

/// So many pages are read at once: few calls, and what was read is still in the cache when it is hashed.
const AT_ONCE: usize = 64;

/// A process's memory.
#[derive(Debug)]
pub struct ByProcess(File);

impl ByProcess {
    /// That of a process. Takes what ptrace(2) takes.
    pub fn open(process: &ProcessDir) -> io::Result<Self> {
        process.file("mem").map(Self)
    }
}

impl Contents for ByProcess {
    fn of(&self, wanted: &[Wanted], hasher: &Hasher) -> Vec<Content> {
        let mut contents = Vec::with_capacity(wanted.len());
        let mut buffer = vec![0; AT_ONCE * PAGE];
        let follows = |a: &Wanted, b: &Wanted| b.address == a.address + PAGE as u64;
        for run in wanted.chunk_by(follows).flat_map(|run| run.chunks(AT_ONCE)) {
            let mut rest = run;
            while let Some(first) = rest.first() {
                let buffer = &mut buffer[..rest.len() * PAGE];
                let read = self.0.read_at(buffer, first.address).unwrap_or(0) / PAGE;
                let pages = buffer[..read * PAGE].chunks_exact(PAGE);
                contents.extend(pages.map(|page| Content::of(page, hasher)));
                if read == 0 {
                    // This one cannot be read: of a device, or gone.
                    contents.push(Content::Unread);
                }
                rest = &rest[read.max(1)..];
            }
        }
        contents
    }
}
