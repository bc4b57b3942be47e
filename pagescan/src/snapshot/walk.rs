//! A snapshot part by part, for those who need not have all of it at hand.

use std::io::Read;

use super::assemble::{Placed, Snapshot, place};
use super::attributes::Attributes;
use super::budget::Budget;
use super::reader::{Damage, Reader};
use super::record::{File, Mapping, Process, Record, Totals};
use crate::hash::PageHash;

/// Frames whose indexes follow one another.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// The index of the first.
    pub first: u64,
    /// Of each, where in `attributes` its own are.
    pub kinds: &'a [u32],
    /// What frames have alike.
    pub attributes: &'a [Attributes],
    /// Their numbers; empty if the kernel does not tell them.
    pub numbers: &'a [u64],
    /// What they hold, of those that were read and are not zero.
    pub hashes: &'a [PageHash],
}

/// Who is shown the parts of a snapshot. Pages belong to the mapping or file before them; the frames that they are in may
/// come only later.
pub trait Visitor {
    /// Frames.
    fn frames(&mut self, _block: Block<'_>) -> Result<(), Damage> {
        Ok(())
    }
    /// A process.
    fn process(&mut self, _process: &Process) -> Result<(), Damage> {
        Ok(())
    }
    /// A mapping of the last process.
    fn mapping(&mut self, _mapping: &Mapping) -> Result<(), Damage> {
        Ok(())
    }
    /// A file. Those that mappings name, by their places in the order of all, come before them.
    fn file(&mut self, _file: &File) -> Result<(), Damage> {
        Ok(())
    }
    /// Pages of the last mapping or file.
    fn pages(&mut self, _pages: &[Placed]) -> Result<(), Damage> {
        Ok(())
    }
}

/// Shows the snapshot that a reader comes to next, whose header is the next record. What is shown may turn out to be
/// damaged later.
pub fn walk<R: Read>(reader: &mut Reader<R>, visitor: &mut impl Visitor) -> Result<Totals, Damage> {
    let Some(Record::Header(_)) = reader.next().transpose()? else {
        return Err(Damage::Nonsense("a snapshot has no beginning"));
    };
    let mut budget = Budget::default();
    let mut frames = FrameWalk::default();
    let mut files = 0u64;
    let mut has_process = false;
    // Whether pages may come, and the page and the frame behind the last.
    let mut has_place = false;
    let mut behind = (0, 0);
    let (mut pages, mut end) = (0u64, 0);
    while let Some(record) = reader.next() {
        let read = reader.bytes_read();
        match record? {
            Record::Header(_) => return Err(Damage::Nonsense("a snapshot has no end")),
            Record::Frames(block) => {
                budget.take(block.kinds.len() * 28, read)?;
                frames.show(&block, visitor)?;
            }
            Record::Process(process) => {
                let texts = process.exe.len() + process.cgroup.len() + process.name.len();
                budget.take(size_of::<Process>() + texts, read)?;
                (has_process, has_place) = (true, false);
                visitor.process(&process)?;
            }
            Record::Mapping(mapping) => {
                let texts = mapping.name.len() + mapping.flags.len();
                budget.take(size_of::<Mapping>() + texts, read)?;
                if !has_process {
                    return Err(Damage::Nonsense("a mapping belongs to no process"));
                }
                if mapping.file.is_some_and(|file| u64::from(file) >= files) {
                    return Err(Damage::Nonsense("a mapping is of a file that is not there"));
                }
                if mapping.range.start > mapping.range.end {
                    return Err(Damage::Nonsense("a mapping ends before it begins"));
                }
                (has_place, behind) = (true, (0, 0));
                visitor.mapping(&mapping)?;
            }
            Record::File(file) => {
                budget.take(size_of::<File>() + file.path.len(), read)?;
                files += 1;
                (has_place, behind) = (true, (0, 0));
                visitor.file(&file)?;
            }
            Record::Runs(runs) => {
                budget.take(runs.len() * size_of::<Placed>(), read)?;
                if !has_place {
                    return Err(Damage::Nonsense("pages belong to nothing"));
                }
                let mut placed = Vec::with_capacity(runs.len());
                for run in runs {
                    let run = place(run, &mut behind)?;
                    pages = pages.saturating_add(run.len);
                    end = end.max(run.frame + run.len);
                    placed.push(run);
                }
                visitor.pages(&placed)?;
            }
            Record::Totals(totals) => {
                return match () {
                    () if totals.frames != frames.seen => {
                        Err(Damage::Nonsense("frames are missing"))
                    }
                    () if end > frames.seen => {
                        Err(Damage::Nonsense("a page is in a frame that is not there"))
                    }
                    () if totals.pages != pages => Err(Damage::Nonsense("pages are missing")),
                    () => Ok(totals),
                };
            }
        }
    }
    Err(Damage::CutOff)
}

/// Where a walk through frames is.
#[derive(Default)]
struct FrameWalk {
    attributes: Vec<Attributes>,
    are_hashed: Vec<bool>,
    seen: u64,
    are_numbered: Option<bool>,
    behind_number: u64,
    numbers: Vec<u64>,
    hashes: Vec<PageHash>,
}

impl FrameWalk {
    fn show(
        &mut self,
        block: &super::block::FrameBlock,
        visitor: &mut impl Visitor,
    ) -> Result<(), Damage> {
        let are_numbered = !block.numbers.is_empty();
        if are_numbered && block.numbers.len() != block.kinds.len()
            || *self.are_numbered.get_or_insert(are_numbered) != are_numbered
        {
            return Err(Damage::Nonsense("some frames have numbers and some have none"));
        }
        self.attributes.extend_from_slice(&block.attributes);
        self.are_hashed.extend(block.attributes.iter().map(|all| all.flags.is_hashed()));
        let mut hashed = 0;
        for &kind in &block.kinds {
            let is_hashed = self.are_hashed.get(kind as usize);
            hashed += usize::from(*is_hashed.ok_or(Damage::Nonsense("a frame is of no kind"))?);
        }
        self.hashes.clear();
        self.hashes.extend(block.page_hashes());
        if hashed != self.hashes.len() {
            return Err(Damage::Nonsense("a frame has no hash"));
        }
        self.numbers.clear();
        for &step in &block.numbers {
            let number = self.behind_number.wrapping_add_signed(step);
            self.numbers.push(number);
            self.behind_number = number.wrapping_add(1);
        }
        let first = self.seen;
        self.seen += block.kinds.len() as u64;
        visitor.frames(Block {
            first,
            kinds: &block.kinds,
            attributes: &self.attributes,
            numbers: &self.numbers,
            hashes: &self.hashes,
        })
    }
}

impl Snapshot {
    /// Shows it part by part.
    pub fn visit(&self, visitor: &mut impl Visitor) -> Result<(), Damage> {
        const BLOCK: usize = 64 << 10;
        let frames = &self.frames;
        let mut hashes = Vec::new();
        for first in (0..frames.len()).step_by(BLOCK) {
            let range = first..frames.len().min(first + BLOCK);
            hashes.clear();
            let hashed = range.clone().filter(|&index| frames.attributes(index).flags.is_hashed());
            hashes.extend(hashed.map(|index| frames.hashes[index]));
            visitor.frames(Block {
                first: first as u64,
                kinds: &frames.kinds[range.clone()],
                attributes: &frames.attributes,
                numbers: frames.numbers.get(range).unwrap_or_default(),
                hashes: &hashes,
            })?;
        }
        for file in &self.files {
            visitor.file(&file.file)?;
            visitor.pages(&file.runs)?;
        }
        for task in &self.tasks {
            visitor.process(&task.process)?;
            for vma in &task.vmas {
                visitor.mapping(&vma.mapping)?;
                visitor.pages(&vma.runs)?;
            }
        }
        Ok(())
    }
}
