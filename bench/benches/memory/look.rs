//! Looking at memory: a snapshot that is counted here and now.

use std::collections::HashSet;

use anyhow::Result;
use pagescan::hash::Hasher;
use pagescan::scan::{By, Target, Tools, take_here};
use pagescan::share::{self, Answer, Options, Source, share};
use pagescan::snapshot::{FrameFlags, PageFlags, Snapshot};
use serde::Serialize;

/// By what is looked.
pub struct Eye {
    tools: Tools,
}

impl Eye {
    /// The best that this machine has.
    pub fn new() -> Self {
        Self { tools: Tools::find(By::Best) }
    }

    /// What cannot be seen, in sentences.
    pub fn lacks(&self) -> &[String] {
        &self.tools.lacks
    }

    /// A snapshot.
    pub fn see(&self, target: &Target) -> Result<Snapshot> {
        Ok(take_here(target, &self.tools, &Hasher::Xxh3_128)?)
    }

    /// Of processes.
    pub fn processes(&self, pids: &[u32]) -> Result<Snapshot> {
        self.see(&Target::Processes(pids.to_vec()))
    }

    /// Of the memory of guests of so many MiB each.
    pub fn guests(&self, pids: &[u32], memory: u64) -> Result<Snapshot> {
        self.see(&Target::Guests(pids.iter().map(|&pid| (pid, Some(memory << 20))).collect()))
    }
}

/// Classes of sharing, of one moment.
pub fn classes(snapshots: &[&Snapshot], by: share::By) -> Result<Answer> {
    let sources: Vec<_> = snapshots.iter().map(|snapshot| Source::Memory(snapshot)).collect();
    Ok(share(&sources, &Options { by, largest: 0, ..Options::default() })?)
}

/// Frames that processes use, each once; the kernel's page of zeros is not one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Frames {
    /// All of them.
    pub all: u64,
    /// Those that hold zeros only.
    pub zero: u64,
    /// Those of no file, but for KSM's.
    pub anonymous: u64,
    /// Those of files.
    pub named: u64,
    /// KSM's.
    pub ksm: u64,
    /// Those of files, if equal ones were one.
    pub named_contents: u64,
}

impl Frames {
    /// Those of a snapshot.
    pub fn of(snapshot: &Snapshot) -> Self {
        let frames = &snapshot.frames;
        let mut is_used = vec![false; frames.len()];
        let mappings = snapshot.tasks.iter().flat_map(|task| &task.vmas);
        for run in mappings.flat_map(|vma| &vma.runs) {
            if !run.flags.has(PageFlags::SPECIAL) {
                is_used[run.frames()].fill(true);
            }
        }
        let mut counted = Self::default();
        let mut contents = HashSet::new();
        for index in (0..frames.len()).filter(|&index| is_used[index]) {
            let flags = frames.attributes(index).flags;
            if flags.has(FrameFlags::ZERO_PAGE) {
                continue;
            }
            counted.all += 1;
            counted.zero += u64::from(flags.has(FrameFlags::ZERO));
            match () {
                () if flags.has(FrameFlags::KSM) => counted.ksm += 1,
                () if flags.has(FrameFlags::NAMED) && !flags.has(FrameFlags::SHMEM) => {
                    counted.named += 1;
                    match flags {
                        flags if flags.has(FrameFlags::ZERO) => {
                            contents.insert(None);
                        }
                        flags if flags.is_hashed() => {
                            contents.insert(Some(frames.hashes[index]));
                        }
                        // Nobody knows whether there is another.
                        _ => counted.named_contents += 1,
                    }
                }
                () => counted.anonymous += 1,
            }
        }
        counted.named_contents += contents.len() as u64;
        counted
    }

    /// How many there were if equal frames of files were one.
    pub fn pooled(&self) -> u64 {
        self.all - self.named + self.named_contents
    }

    /// Those that hold something else than zeros.
    pub fn filled(&self) -> u64 {
        self.all - self.zero
    }
}
