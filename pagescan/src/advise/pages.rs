//! All pages of a process, one after another.

use crate::snapshot::{PageFlags, Task, Vma};

/// A page of a process.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Its address.
    pub address: u64,
    /// The index of its frame.
    pub frame: usize,
    /// What the page table says of it.
    pub flags: PageFlags,
}

/// Those of a mapping, ascending by address.
pub fn of_vma(vma: &Vma, page_size: u64) -> impl Iterator<Item = Page> {
    let start = vma.mapping.range.start;
    vma.runs.iter().flat_map(move |run| {
        (0..run.len).map(move |nth| Page {
            address: start.wrapping_add((run.page + nth).wrapping_mul(page_size)),
            frame: (run.frame + nth) as usize,
            flags: run.flags,
        })
    })
}

/// Those of a process, ascending by address.
pub fn of_task(task: &Task, page_size: u64) -> impl Iterator<Item = Page> {
    task.vmas.iter().flat_map(move |vma| of_vma(vma, page_size))
}
