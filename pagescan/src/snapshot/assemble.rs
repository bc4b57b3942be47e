//! All of a snapshot at hand, held against itself: every page is in a frame that there is.

use std::io::Read;
use std::ops::Range;

use super::attributes::Attributes;
use super::budget::Budget;
use super::flags::PageFlags;
use super::reader::{Damage, Reader};
use super::record::{File, Header, Mapping, Process, Record, Run, Totals};
use crate::hash::PageHash;

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// When, where and how it was taken.
    pub header: Header,
    /// All frames, each once.
    pub frames: Frames,
    /// The processes.
    pub tasks: Vec<Task>,
    /// The files.
    pub files: Vec<MappedFile>,
    /// What the machine said of itself.
    pub totals: Totals,
}

/// Frames by index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// Their numbers; empty if the kernel does not tell them.
    pub numbers: Vec<u64>,
    /// What they hold; of no meaning where the flags say so.
    pub hashes: Vec<PageHash>,
    /// Of each, where in `attributes` its own are.
    pub kinds: Vec<u32>,
    /// What frames have alike.
    pub attributes: Vec<Attributes>,
}

impl Frames {
    /// How many.
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// What is known of a frame.
    pub fn attributes(&self, index: usize) -> &Attributes {
        &self.attributes[self.kinds[index] as usize]
    }
}

/// A process with its address space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// What it is.
    pub process: Process,
    /// Ascending by address.
    pub vmas: Vec<Vma>,
}

/// A mapping with its pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vma {
    /// What it is.
    pub mapping: Mapping,
    /// Which frames are where.
    pub runs: Vec<Placed>,
}

/// A file with its pages in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MappedFile {
    /// What it is.
    pub file: File,
    /// Which frames are where; empty unless the page cache was asked for.
    pub runs: Vec<Placed>,
}

/// Pages that follow one another, in frames whose indexes do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// The first page's number in the mapping or file.
    pub page: u64,
    /// The first frame's index.
    pub frame: u64,
    /// How many.
    pub len: u64,
    /// What the page table says.
    pub flags: PageFlags,
}

impl Placed {
    /// The indexes of the frames.
    pub fn frames(&self) -> Range<usize> {
        self.frame as usize..(self.frame + self.len) as usize
    }
}

/// All snapshots of a file.
pub fn read_all(input: impl Read) -> Result<Vec<Snapshot>, Damage> {
    let mut reader = Reader::new(input)?;
    let mut snapshots = Vec::new();
    let mut budget = Budget::default();
    while let Some(snapshot) = next(&mut reader, &mut budget)? {
        snapshots.push(snapshot);
    }
    if snapshots.is_empty() { Err(Damage::CutOff) } else { Ok(snapshots) }
}

/// The snapshot that a reader comes to next.
pub fn read_next(reader: &mut Reader<impl Read>) -> Result<Option<Snapshot>, Damage> {
    next(reader, &mut Budget::default())
}

fn next(reader: &mut Reader<impl Read>, budget: &mut Budget) -> Result<Option<Snapshot>, Damage> {
    match reader.next().transpose()? {
        None => Ok(None),
        Some(Record::Header(header)) => one(header, reader, budget).map(Some),
        Some(_) => Err(Damage::Nonsense("a snapshot has no beginning")),
    }
}

fn one<R: Read>(
    header: Header,
    reader: &mut Reader<R>,
    budget: &mut Budget,
) -> Result<Snapshot, Damage> {
    let mut snapshot = Snapshot {
        header,
        frames: Frames::default(),
        tasks: Vec::new(),
        files: Vec::new(),
        totals: Totals::default(),
    };
    // Where runs belong to, and the page and the frame behind the last.
    let mut last = Last::Nothing;
    let mut behind = (0u64, 0u64);
    let mut behind_number = 0u64;
    while let Some(record) = reader.next() {
        let read = reader.bytes_read();
        match record? {
            Record::Header(_) => return Err(Damage::Nonsense("a snapshot has no end")),
            Record::Frames(block) => {
                budget.take(block.kinds.len() * 28, read)?;
                add(&mut snapshot.frames, &block, &mut behind_number)?;
            }
            Record::Process(process) => {
                budget.take(size_of::<Task>() + process.exe.len() + process.cgroup.len(), read)?;
                snapshot.tasks.push(Task { process, vmas: Vec::new() });
                last = Last::Nothing;
            }
            Record::Mapping(mapping) => {
                budget.take(size_of::<Vma>() + mapping.name.len() + mapping.flags.len(), read)?;
                let task = snapshot.tasks.last_mut();
                let task = task.ok_or(Damage::Nonsense("a mapping belongs to no process"))?;
                task.vmas.push(Vma { mapping, runs: Vec::new() });
                (last, behind) = (Last::Mapping, (0, 0));
            }
            Record::File(file) => {
                budget.take(size_of::<MappedFile>() + file.path.len(), read)?;
                snapshot.files.push(MappedFile { file, runs: Vec::new() });
                (last, behind) = (Last::File, (0, 0));
            }
            Record::Runs(runs) => {
                budget.take(runs.len() * size_of::<Placed>(), read)?;
                let vma = snapshot.tasks.last_mut().and_then(|task| task.vmas.last_mut());
                let to = match last {
                    Last::Nothing => None,
                    Last::Mapping => vma.map(|vma| &mut vma.runs),
                    Last::File => snapshot.files.last_mut().map(|file| &mut file.runs),
                };
                let to = to.ok_or(Damage::Nonsense("pages belong to nothing"))?;
                for run in runs {
                    to.push(place(run, &mut behind)?);
                }
            }
            Record::Totals(totals) => {
                snapshot.totals = totals;
                return hold(snapshot);
            }
        }
    }
    Err(Damage::CutOff)
}

/// What the last record was that pages can belong to.
enum Last {
    Nothing,
    Mapping,
    File,
}

fn add(
    frames: &mut Frames,
    block: &super::block::FrameBlock,
    behind: &mut u64,
) -> Result<(), Damage> {
    let is_numbered = !block.numbers.is_empty();
    if is_numbered && block.numbers.len() != block.kinds.len()
        || is_numbered != (frames.numbers.len() == frames.len()) && !frames.is_empty()
    {
        return Err(Damage::Nonsense("some frames have numbers and some have none"));
    }
    frames.attributes.extend_from_slice(&block.attributes);
    let mut hashes = block.page_hashes();
    for &kind in &block.kinds {
        let attributes = frames.attributes.get(kind as usize);
        let attributes = attributes.ok_or(Damage::Nonsense("a frame is of no kind"))?;
        let hash = if attributes.flags.is_hashed() {
            hashes.next().ok_or(Damage::Nonsense("a frame has no hash"))?
        } else {
            PageHash::default()
        };
        frames.hashes.push(hash);
        frames.kinds.push(kind);
    }
    for &step in &block.numbers {
        let number = behind.wrapping_add_signed(step);
        frames.numbers.push(number);
        *behind = number.wrapping_add(1);
    }
    Ok(())
}

pub(super) fn place(run: Run, behind: &mut (u64, u64)) -> Result<Placed, Damage> {
    let nonsense = || Damage::Nonsense("pages lie outside of everything");
    let page = behind.0.checked_add(run.skip).ok_or_else(nonsense)?;
    let frame = behind.1.checked_add_signed(run.step).ok_or_else(nonsense)?;
    let end = |start: u64| start.checked_add(run.len).ok_or_else(nonsense);
    *behind = (end(page)?, end(frame)?);
    Ok(Placed { page, frame, len: run.len, flags: run.flags })
}

/// The snapshot, if all that it refers to is there.
fn hold(snapshot: Snapshot) -> Result<Snapshot, Damage> {
    let frames = snapshot.frames.len() as u64;
    if snapshot.totals.frames != frames {
        return Err(Damage::Nonsense("frames are missing"));
    }
    let mut pages = 0u64;
    let mut hold = |runs: &[Placed]| {
        for run in runs {
            // That the sum does not overflow was seen when it was placed.
            if run.frame + run.len > frames {
                return Err(Damage::Nonsense("a page is in a frame that is not there"));
            }
            pages = pages.saturating_add(run.len);
        }
        Ok(())
    };
    for task in &snapshot.tasks {
        for vma in &task.vmas {
            let range = &vma.mapping.range;
            if range.start > range.end {
                return Err(Damage::Nonsense("a mapping ends before it begins"));
            }
            if vma.mapping.file.is_some_and(|file| file as usize >= snapshot.files.len()) {
                return Err(Damage::Nonsense("a mapping is of a file that is not there"));
            }
            hold(&vma.runs)?;
        }
    }
    for file in &snapshot.files {
        hold(&file.runs)?;
    }
    if pages != snapshot.totals.pages {
        return Err(Damage::Nonsense("pages are missing"));
    }
    Ok(snapshot)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hash::{Algorithm, Hasher};
    use crate::snapshot::{FrameFlags, Means, Scope, Writer};

    fn header() -> Header {
        Header {
            taken: 1,
            host: "host".into(),
            boot: "boot".into(),
            kernel: "6.18".into(),
            page_size: 4096,
            memory: 1 << 30,
            algorithm: Algorithm::Xxh3_128,
            key_id: None,
            scope: Scope::Processes,
            means: Means::Frame,
            lacks: vec!["nothing".into()],
        }
    }

    /// A process with a mapping of these pages, each in its frame.
    fn written(pages: &[(u64, u64)], frames: u64) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), header()).unwrap();
        for frame in 0..frames {
            let flags = match frame % 5 {
                0 => FrameFlags::ZERO,
                1 => FrameFlags::ANONYMOUS,
                _ => FrameFlags::NAMED,
            };
            let attributes = Attributes { flags, map_count: 1, ref_count: 1, cgroup: frame % 3 };
            let hash = Hasher::Xxh3_128.hash(&frame.to_le_bytes());
            assert_eq!(writer.frame(Some(frame * 3), attributes, hash).unwrap(), frame);
        }
        writer.file(File { inode: 7, path: b"/lib".into(), ..File::default() }).unwrap();
        writer.process(Process { pid: 42, ..Process::default() }).unwrap();
        let range = 0x1000..0x1000_0000;
        writer.mapping(Mapping { range, file: Some(0), ..Mapping::default() }).unwrap();
        for &(page, frame) in pages {
            writer.page(page, frame, PageFlags::FILE).unwrap();
        }
        writer.finish(Totals::default()).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(steps in proptest::collection::vec((1u64..3, 0u64..100), 0..300)) {
            let mut page = 0;
            let pages: Vec<_> = steps.iter().map(|(step, frame)| { page += step; (page, *frame) }).collect();
            let bytes = written(&pages, 100);
            let snapshots = read_all(&bytes[..]).unwrap();
            let [snapshot] = &snapshots[..] else { panic!("one") };
            prop_assert_eq!(&snapshot.header, &header());
            prop_assert_eq!(snapshot.frames.len(), 100);
            for frame in 0..100 {
                prop_assert_eq!(snapshot.frames.numbers[frame], frame as u64 * 3);
                if frame % 5 != 0 {
                    prop_assert_eq!(snapshot.frames.hashes[frame], Hasher::Xxh3_128.hash(&(frame as u64).to_le_bytes()));
                }
            }
            let runs = &snapshot.tasks[0].vmas[0].runs;
            let read: Vec<_> = runs.iter().flat_map(|run| (0..run.len).map(|i| (run.page + i, run.frame + i))).collect();
            prop_assert_eq!(read, pages);
        }

        #[test]
        fn damaged_files_are_refused(at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut bytes = written(&[(0, 1), (1, 2), (5, 1)], 10);
            let at = at.index(bytes.len());
            bytes[at] ^= 1u8 << bit;
            prop_assert!(read_all(&bytes[..]).is_err());
        }

        #[test]
        fn cut_off_files_are_refused(len in any::<prop::sample::Index>()) {
            let bytes = written(&[(0, 1), (1, 2), (5, 1)], 10);
            prop_assert!(read_all(&bytes[..len.index(bytes.len())]).is_err());
        }
    }

    #[test]
    fn pages_in_no_frame_are_refused() {
        let damage = read_all(&written(&[(0, 9), (1, 10)], 10)[..]).unwrap_err();
        assert!(damage.to_string().contains("a frame that is not there"), "{damage}");
    }

    #[test]
    fn several_follow_one_another() {
        let first = written(&[(0, 1)], 5);
        let mut writer = Writer::append(first, header()).unwrap();
        writer.process(Process { pid: 43, ..Process::default() }).unwrap();
        let bytes = writer.finish(Totals::default()).unwrap();
        let snapshots = read_all(&bytes[..]).unwrap();
        let pids: Vec<_> = snapshots.iter().map(|snapshot| snapshot.tasks[0].process.pid).collect();
        assert_eq!(pids, [42, 43]);
    }

    #[test]
    fn little_that_claims_much_is_refused() {
        let mut writer = Writer::new(Vec::new(), header()).unwrap();
        let attributes = Attributes { flags: FrameFlags::ZERO, ..Attributes::default() };
        for _ in 0..20 << 20 {
            writer.frame(None, attributes, PageHash::default()).unwrap();
        }
        let bytes = writer.finish(Totals::default()).unwrap();
        assert!(bytes.len() < 100_000, "{} bytes", bytes.len());
        assert!(matches!(read_all(&bytes[..]), Err(Damage::TooLarge)));
    }
}
