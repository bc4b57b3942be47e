//! What happened to pages between two snapshots.

use std::cmp::Ordering;

use serde::Serialize;

use crate::hash::PageHash;
use crate::snapshot::{PageFlags, Snapshot, Task};

/// Numbers of pages: of processes by address, or, in snapshots without processes, of frames by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// In both snapshots, and read.
    pub tracked: u64,
    /// Of these, such as hold something else now.
    pub changed: u64,
    /// In the later only.
    pub appeared: u64,
    /// In the earlier only.
    pub vanished: u64,
}

impl Changes {
    /// Those between two snapshots with the same hashes.
    pub fn between(before: &Snapshot, after: &Snapshot) -> Self {
        let mut changes = Self::default();
        if before.tasks.is_empty() && after.tasks.is_empty() {
            changes.add(by_number(before).into_iter(), by_number(after).into_iter());
            return changes;
        }
        let (old, new) = (by_process(before), by_process(after));
        let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (Some(a), Some(b)) => key(a).cmp(&key(b)),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return changes,
            };
            let old_task = if order.is_le() { old.next() } else { None };
            let new_task = if order.is_ge() { new.next() } else { None };
            let pages =
                |snapshot, task: Option<_>| task.into_iter().flat_map(move |t| pages(snapshot, t));
            changes.add(pages(before, old_task), pages(after, new_task));
        }
    }

    /// Adds pages in the order of their places.
    fn add(
        &mut self,
        before: impl Iterator<Item = (u64, Holds)>,
        after: impl Iterator<Item = (u64, Holds)>,
    ) {
        let (mut before, mut after) = (before.peekable(), after.peekable());
        loop {
            match (before.peek(), after.peek()) {
                (None, None) => return,
                (Some((old, _)), Some((new, _))) if old == new => {
                    if let (Some((_, Some(was))), Some((_, Some(is)))) =
                        (before.next(), after.next())
                    {
                        self.tracked += 1;
                        self.changed += u64::from(was != is);
                    }
                }
                (Some((old, _)), Some((new, _))) if old > new => {
                    self.appeared += 1;
                    after.next();
                }
                (None, Some(_)) => {
                    self.appeared += 1;
                    after.next();
                }
                _ => {
                    self.vanished += 1;
                    before.next();
                }
            }
        }
    }
}

/// What a page holds: a hash, or zeros that have none; nothing if it was not read.
type Holds = Option<Option<PageHash>>;

fn holds(snapshot: &Snapshot, frame: usize) -> Holds {
    let flags = snapshot.frames.attributes(frame).flags;
    match flags.is_hashed() {
        true => Some(Some(snapshot.frames.hashes[frame])),
        false if flags.has(crate::snapshot::FrameFlags::UNREAD) => None,
        false => Some(None),
    }
}

/// Which process it is.
fn key(task: &&Task) -> (u32, u64) {
    (task.process.pid, task.process.start)
}

fn by_process(snapshot: &Snapshot) -> Vec<&Task> {
    let mut tasks: Vec<_> = snapshot.tasks.iter().collect();
    tasks.sort_by_key(key);
    tasks
}

/// A process' pages by number, ascending.
fn pages<'a>(snapshot: &'a Snapshot, task: &'a Task) -> impl Iterator<Item = (u64, Holds)> + 'a {
    let page_size = u64::from(snapshot.header.page_size).max(1);
    task.vmas.iter().flat_map(move |vma| {
        let first = vma.mapping.range.start / page_size;
        let runs = vma.runs.iter().filter(|run| !run.flags.has(PageFlags::SPECIAL));
        runs.flat_map(move |run| {
            (0..run.len).map(move |i| {
                (first.saturating_add(run.page + i), holds(snapshot, (run.frame + i) as usize))
            })
        })
    })
}

fn by_number(snapshot: &Snapshot) -> Vec<(u64, Holds)> {
    let numbers = snapshot.frames.numbers.iter().enumerate();
    let mut frames: Vec<_> =
        numbers.map(|(index, number)| (*number, holds(snapshot, index))).collect();
    if !frames.is_sorted_by_key(|(number, _)| *number) {
        frames.sort_unstable_by_key(|(number, _)| *number);
    }
    frames
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::made::{ANON, made};
    use super::*;
    use crate::snapshot::FrameFlags;

    /// Of each process and page, what it holds: 0 is zeros, 1 is unread.
    type Pages = BTreeMap<(u32, u64), u64>;

    fn snapshot(pages: &Pages) -> Snapshot {
        let flags = |content| match content {
            0 => ANON | FrameFlags::ZERO,
            1 => ANON | FrameFlags::UNREAD,
            _ => ANON,
        };
        let frames: Vec<_> = pages.values().map(|&content| (flags(content), content)).collect();
        let mut processes: BTreeMap<u32, Vec<(u64, u64)>> = BTreeMap::new();
        for (index, (pid, page)) in pages.keys().enumerate() {
            processes.entry(*pid).or_default().push((*page, index as u64));
        }
        // The order of processes is of no meaning.
        let processes: Vec<_> =
            processes.iter().rev().map(|(pid, pages)| (*pid, &pages[..])).collect();
        made(&frames, &processes)
    }

    fn naive(before: &Pages, after: &Pages) -> Changes {
        let mut changes = Changes::default();
        for (place, was) in before {
            match after.get(place) {
                None => changes.vanished += 1,
                Some(is) if *was != 1 && *is != 1 => {
                    changes.tracked += 1;
                    changes.changed += u64::from(was != is);
                }
                Some(_) => {}
            }
        }
        changes.appeared = after.keys().filter(|place| !before.contains_key(place)).count() as u64;
        changes
    }

    fn some_pages() -> impl Strategy<Value = Pages> {
        proptest::collection::btree_map((1u32..4, 0u64..12), 0u64..5, 0..25)
    }

    proptest! {
        #[test]
        fn as_a_naive_one_says(before in some_pages(), after in some_pages()) {
            let changes = Changes::between(&snapshot(&before), &snapshot(&after));
            prop_assert_eq!(changes, naive(&before, &after));
        }
    }

    #[test]
    fn a_pid_that_was_given_anew_is_another_process() {
        let before = snapshot(&Pages::from([((1, 0), 7), ((1, 1), 8)]));
        let mut after = before.clone();
        after.tasks[0].process.start += 1;
        let expected = Changes { appeared: 2, vanished: 2, ..Changes::default() };
        assert_eq!(Changes::between(&before, &after), expected);
    }

    #[test]
    fn without_processes_frames_are_tracked() {
        let (before, mut after) =
            (made(&[(ANON, 1), (ANON, 2)], &[]), made(&[(ANON, 3), (ANON, 1)], &[]));
        // In another order.
        after.frames.numbers = vec![2, 0];
        let expected = Changes { tracked: 2, changed: 1, ..Changes::default() };
        assert_eq!(Changes::between(&before, &after), expected);
    }
}
