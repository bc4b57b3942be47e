//! All pages of a snapshot, of processes and of cached files.

use crate::snapshot::Snapshot;

/// What a page's frame is of the snapshot, if it is one.
pub(super) fn pages(snapshot: &Snapshot) -> impl Iterator<Item = Page> {
    let cached = snapshot.files.iter().enumerate().flat_map(|(file, cached)| {
        let runs = cached.runs.iter();
        runs.flat_map(move |run| {
            let page = move |nth| Page {
                task: None,
                file: Some(file),
                page: run.page + nth,
                frame: (run.frame + nth) as usize,
                flags: run.flags.0,
            };
            (0..run.len).map(page)
        })
    });
    let mapped = snapshot.tasks.iter().enumerate().flat_map(|(task, of_task)| {
        of_task.vmas.iter().enumerate().flat_map(move |(vma, of_vma)| {
            of_vma.runs.iter().flat_map(move |run| {
                let page = move |nth| Page {
                    task: Some((task, vma)),
                    file: of_vma.mapping.file.map(|file| file as usize),
                    page: run.page + nth,
                    frame: (run.frame + nth) as usize,
                    flags: run.flags.0,
                };
                (0..run.len).map(page)
            })
        })
    });
    cached.chain(mapped)
}

/// A page of a process or of a cached file.
pub(super) struct Page {
    /// The process and the mapping, by index; none of the page cache.
    pub(super) task: Option<(usize, usize)>,
    /// The file, by index.
    pub(super) file: Option<usize>,
    /// Its number in the mapping or file.
    pub(super) page: u64,
    /// The frame's index.
    pub(super) frame: usize,
    /// Of the page, in bits ([`crate::snapshot`]).
    pub(super) flags: u8,
}
