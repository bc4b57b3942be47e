//! Snapshots for tests.

use crate::hash::{Algorithm, Hasher};
use crate::snapshot::Placed;
use crate::snapshot::{
    Attributes, FrameFlags, Frames, Header, Mapping, Means, PageFlags, Process, Scope, Snapshot,
    Task, Totals, Vma,
};

/// What anonymous frames have.
pub const ANON: FrameFlags = FrameFlags::ANONYMOUS;
/// What frames of files have.
pub const NAMED: FrameFlags = FrameFlags::NAMED;

/// Of frames, each with what it is and a number for what it holds; and of processes with their pages, each with its number and
/// the index of its frame.
pub fn made(frames: &[(FrameFlags, u64)], processes: &[(u32, &[(u64, u64)])]) -> Snapshot {
    let mut all = Frames::default();
    for (index, &(flags, content)) in frames.iter().enumerate() {
        all.numbers.push(index as u64 * 2);
        all.hashes.push(Hasher::Xxh3_128.hash(&content.to_le_bytes()));
        all.kinds.push(index as u32);
        all.attributes.push(Attributes { flags, ..Attributes::default() });
    }
    let task = |&(pid, pages): &(u32, &[(u64, u64)])| {
        let run = |&(page, frame): &(u64, u64)| Placed {
            page,
            frame,
            len: 1,
            flags: PageFlags::default(),
        };
        let mapping = Mapping { range: 0x10000..0x100_0000, ..Mapping::default() };
        let vma = Vma { mapping, runs: pages.iter().map(run).collect() };
        let process = Process { pid, start: 1, name: format!("p{pid}"), ..Process::default() };
        Task { process, vmas: vec![vma] }
    };
    let pages = processes.iter().map(|(_, pages)| pages.len() as u64).sum();
    Snapshot {
        header: Header {
            taken: 1_000_000_000,
            host: "host".into(),
            boot: "boot".into(),
            kernel: "6.18".into(),
            page_size: 4096,
            memory: 1 << 30,
            algorithm: Algorithm::Xxh3_128,
            key_id: None,
            scope: Scope::Processes,
            means: Means::Process,
            lacks: Vec::new(),
        },
        totals: Totals { frames: frames.len() as u64, pages, ..Totals::default() },
        frames: all,
        tasks: processes.iter().map(task).collect(),
        files: Vec::new(),
    }
}
