//! What the frames of a snapshot hold, equal ones together, and how many pages each is for.

use rayon::slice::ParallelSliceMut;

use crate::hash::PageHash;
use crate::snapshot::{FrameFlags, PageFlags, Snapshot};

/// The frames by content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Of each frame, pages that are in it: at least one, also where no page table is known that has it.
    pub pages: Vec<u32>,
    /// Frames that have a hash and are processes' or files', by hash.
    pub frames: Vec<(PageHash, u32)>,
    /// The frames of the kernel's that a process has all the same, as it has the vdso; ascending.
    lent: Vec<u32>,
}

impl Contents {
    /// Those of a snapshot. Pages of mappings that are no memory of their process do not count.
    pub fn of(snapshot: &Snapshot) -> Self {
        let frames = &snapshot.frames;
        let mut pages = vec![0u32; frames.len()];
        let vmas = snapshot.tasks.iter().flat_map(|task| &task.vmas);
        for run in vmas.flat_map(|vma| &vma.runs).filter(|run| !run.flags.has(PageFlags::SPECIAL)) {
            for count in pages.get_mut(run.frames()).into_iter().flatten() {
                *count = count.saturating_add(1);
            }
        }
        let (mut hashed, mut lent) = (Vec::new(), Vec::new());
        for (index, count) in pages.iter_mut().enumerate() {
            let attributes = frames.attributes(index);
            if snapshot.tasks.is_empty() {
                *count = attributes.map_count;
            }
            let is_lent = !snapshot.tasks.is_empty() && *count > 0 && is_kernels(attributes.flags);
            if is_lent {
                lent.push(index as u32);
            }
            *count = (*count).max(1);
            if attributes.flags.is_hashed() && (is_lent || !is_kernels(attributes.flags)) {
                hashed.push((frames.hashes[index], index as u32));
            }
        }
        hashed.par_sort_unstable();
        Self { pages, frames: hashed, lent }
    }

    /// Whether a frame with these flags is a process's or a file's.
    pub fn is_counted(&self, frame: usize, flags: FrameFlags) -> bool {
        !is_kernels(flags) || self.lent.binary_search(&(frame as u32)).is_ok()
    }

    /// Frames that hold the same, content by content.
    pub fn groups(&self) -> impl Iterator<Item = &[(PageHash, u32)]> {
        self.frames.chunk_by(|a, b| a.0 == b.0)
    }

    /// Pages that are in some frames.
    pub fn pages_in(&self, frames: &[(PageHash, u32)]) -> u64 {
        frames.iter().map(|(_, frame)| u64::from(self.pages[*frame as usize])).sum()
    }

    /// Contents of at least two pages, shared already or not, in ascending order.
    pub fn sharings(&self) -> Vec<PageHash> {
        let shared = self.groups().filter(|frames| self.pages_in(frames) >= 2);
        shared.filter_map(|frames| frames.first()).map(|(hash, _)| *hash).collect()
    }
}

/// Whether a frame is the kernel's, or nobody's.
fn is_kernels(flags: FrameFlags) -> bool {
    flags.0 & (FrameFlags::KERNEL.0 | FrameFlags::FREE.0) != 0
}

#[cfg(test)]
mod tests {
    use super::super::made::{ANON, made};
    use super::*;

    #[test]
    fn a_content_of_two_pages_is_a_sharing() {
        // Frame 0 is in two pages, 1 and 2 hold the same, 3 is alone.
        let frames = [(ANON, 5), (ANON, 6), (ANON, 6), (ANON, 7)];
        let snapshot = made(&frames, &[(1, &[(0, 0), (1, 1)]), (2, &[(0, 0), (1, 2), (2, 3)])]);
        let contents = Contents::of(&snapshot);
        assert_eq!(contents.pages, [2, 1, 1, 1]);
        assert_eq!(contents.groups().count(), 3);
        let mut expected = [snapshot.frames.hashes[0], snapshot.frames.hashes[1]];
        expected.sort();
        assert_eq!(contents.sharings(), expected);
    }

    #[test]
    fn zeros_and_the_kernel_s_own_are_none() {
        let frames = [
            (ANON | FrameFlags::ZERO, 0),
            (ANON | FrameFlags::ZERO, 0),
            (FrameFlags::KERNEL, 1),
            (FrameFlags::KERNEL, 1),
            (FrameFlags::FREE, 1),
        ];
        assert_eq!(Contents::of(&made(&frames, &[])).sharings(), []);
    }
}
