//! A process: its mappings, which pages of them are in memory, in which frames, and what those hold.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStringExt;

use rustix::fs::makedev;
use statify_process::pagemap::{Page, Pagemap};
use statify_process::procfs::MappingDetails;
use statify_process::{ProcessDir, Stat};

use super::by_frame::ByFrame;
use super::by_process::ByProcess;
use super::contents::{Content, Contents, Wanted};
use super::guest;
use super::known::{Identity, Known};
use crate::hash::{Hasher, PageHash};
use crate::kernel::StructPages;
use crate::kernel::kpage::KernelPages;
use crate::page::PAGE;
use crate::snapshot::{Attributes, File, FrameFlags, Mapping, PageFlags, Process, Writer};

/// So many pages are gathered before they are read: enough for all processors, and no more memory than that.
const BATCH: usize = 64 << 10;

/// Why there is nothing of a process in a snapshot, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum Missed {
    /// There is none of this number.
    #[error("there is no such process")]
    Gone,
    /// It has no memory of its own.
    #[error("it is a thread of the kernel, which has no memory of its own")]
    Kernel,
    /// It may not be looked at.
    #[error("its memory may not be read; be root (with CAP_SYS_PTRACE) or its owner")]
    Denied,
    /// It ended meanwhile.
    #[error(
        "it ended, or executed another program, while it was looked at; what was seen until then is there"
    )]
    Ended,
    /// It emulates or runs no machine.
    #[error("none of its mappings is large enough to be a machine's memory")]
    NoGuest,
    /// The kernel's files have another form, or fail.
    #[error("it cannot be looked at: {0}")]
    Read(io::Error),
    /// The snapshot cannot be written.
    #[error(transparent)]
    Write(io::Error),
}

impl Missed {
    /// What an error of a file below /proc/PID says.
    pub fn of(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ESRCH | libc::ENOENT) => Self::Gone,
            _ if error.kind() == ErrorKind::PermissionDenied => Self::Denied,
            _ => Self::Read(error),
        }
    }
}

/// What of a process is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// What it gives a machine as memory; so many bytes, if that is known.
    Guest(Option<u64>),
}

/// By what means.
pub struct Ways<'a> {
    /// By frame, where that is possible; else by process.
    pub frames: Option<&'a ByFrame>,
    /// What frames are, where the kernel says so.
    pub pages: Option<&'a KernelPages>,
    /// How often they are used, where that is known.
    pub uses: Option<&'a StructPages>,
    /// How contents are hashed.
    pub hasher: &'a Hasher,
}

/// Adds processes to a snapshot.
pub struct Processes<'a, W: Write> {
    ways: Ways<'a>,
    writer: Writer<W>,
    known: Known,
    files: HashMap<(u64, u64), u32>,
}

/// What is written next, frames apart.
enum Entry {
    Mapping(Mapping, Option<File>),
    Page { number: u64, frame: u64, flags: PageFlags },
}

/// A frame that is not in the snapshot yet.
struct New {
    number: Option<u64>,
    address: u64,
    flags: FrameFlags,
    /// It is not to be read.
    content: Option<Content>,
}

impl<'a, W: Write> Processes<'a, W> {
    /// Begins.
    pub fn new(writer: Writer<W>, ways: Ways<'a>) -> Self {
        Self { ways, writer, known: Known::default(), files: HashMap::new() }
    }

    /// The writer, when all processes are in it.
    pub fn into_writer(self) -> Writer<W> {
        self.writer
    }

    /// Adds a process.
    pub fn add(&mut self, pid: u32, part: Part) -> Result<(), Missed> {
        let dir = ProcessDir::open(pid).map_err(Missed::of)?;
        let stat = dir.stat().map_err(Missed::of)?;
        if stat.is_kernel_thread() {
            return Err(Missed::Kernel);
        }
        if stat.is_over() {
            return Err(Missed::Gone);
        }
        // These stay those of the program that it executes now.
        let pagemap = Pagemap::open(&dir).map_err(Missed::of)?;
        let memory = ByProcess::open(&dir).map_err(Missed::of)?;
        let mut mappings = dir.mappings().map_err(Missed::of)?;
        if let Part::Guest(size) = part {
            mappings = guest::memory(mappings, size).ok_or(Missed::NoGuest)?;
        }
        let process = describe(&dir, &stat, &mappings).map_err(Missed::of)?;
        self.writer.process(process).map_err(Missed::Write)?;
        let mut batch = Batch::default();
        for details in mappings {
            self.add_mapping(details, &dir, &pagemap, &memory, &mut batch)?;
        }
        self.flush(&mut batch, &memory).map_err(Missed::Write)
    }

    fn add_mapping(
        &mut self,
        details: MappingDetails,
        dir: &ProcessDir,
        pagemap: &Pagemap,
        memory: &ByProcess,
        batch: &mut Batch,
    ) -> Result<(), Missed> {
        let range = details.mapping.range.clone();
        let (file, new_file) = self.file(dir, &details);
        let is_special = details.is_device();
        let is_hugetlb = details.has("ht");
        let offset = details.mapping.offset / PAGE as u64;
        batch.entries.push(Entry::Mapping(mapping(details, file), new_file));
        let mut failed = Ok(());
        let read = pagemap.pages(range.clone(), |page| {
            let number = (page.address - range.start) / PAGE as u64;
            let identity = match (page.frame, file) {
                (Some(frame), _) => Identity::Number(frame),
                (None, Some(file)) if page.is_file => Identity::FilePage(file, offset + number),
                _ => Identity::None,
            };
            let frame = self.known.get(identity).unwrap_or_else(|| {
                let frame = self.writer.frames() + batch.new.len() as u64;
                self.known.insert(identity, frame);
                batch.new.push(New::of(&page, is_special, is_hugetlb));
                frame
            });
            batch.entries.push(Entry::Page { number, frame, flags: page_flags(&page, is_special) });
            if batch.entries.len() >= BATCH && failed.is_ok() {
                failed = self.flush(batch, memory);
            }
        });
        failed.map_err(Missed::Write)?;
        match read {
            Err(error) if matches!(error.raw_os_error(), Some(libc::ESRCH)) => {
                self.flush(batch, memory).map_err(Missed::Write)?;
                Err(Missed::Ended)
            }
            Err(error) => {
                self.flush(batch, memory).map_err(Missed::Write)?;
                Err(Missed::Read(error))
            }
            Ok(()) => Ok(()),
        }
    }

    /// Writes what was gathered.
    fn flush(&mut self, batch: &mut Batch, memory: &ByProcess) -> io::Result<()> {
        let Batch { entries, new } = std::mem::take(batch);
        self.write_frames(&new, memory)?;
        for entry in entries {
            match entry {
                Entry::Mapping(mapping, file) => {
                    if let Some(file) = file {
                        self.writer.file(file)?;
                    }
                    self.writer.mapping(mapping)?;
                }
                Entry::Page { number, frame, flags } => self.writer.page(number, frame, flags)?,
            }
        }
        Ok(())
    }

    fn write_frames(&mut self, new: &[New], memory: &ByProcess) -> io::Result<()> {
        let mut attributes = self.attributes(new);
        let of_zeros = |flags: FrameFlags| flags.has(FrameFlags::ZERO_PAGE);
        // In the order of frames, or of addresses: neighbours are read at once.
        let mut order: Vec<usize> = (0..new.len())
            .filter(|&i| new[i].content.is_none() && !of_zeros(attributes[i].flags))
            .collect();
        if self.ways.frames.is_some() {
            order.sort_unstable_by_key(|&i| new[i].number);
        }
        let wanted = |&i: &usize| Wanted { number: new[i].number, address: new[i].address };
        let wanted: Vec<Wanted> = order.iter().map(wanted).collect();
        let read = match self.ways.frames {
            Some(frames) => frames.of(&wanted, self.ways.hasher),
            None => memory.of(&wanted, self.ways.hasher),
        };
        let mut contents: Vec<Content> =
            new.iter().map(|new| new.content.unwrap_or(Content::Zero)).collect();
        for (i, content) in order.into_iter().zip(read) {
            contents[i] = content;
        }
        for ((new, content), attributes) in new.iter().zip(contents).zip(&mut attributes) {
            let hash = match content {
                Content::Hash(hash) => hash,
                Content::Zero => {
                    attributes.flags |= FrameFlags::ZERO;
                    PageHash::default()
                }
                Content::Unread => {
                    attributes.flags |= FrameFlags::UNREAD;
                    PageHash::default()
                }
            };
            self.writer.frame(new.number, *attributes, hash)?;
        }
        Ok(())
    }

    /// What is known of frames: from the kernel, or else from page tables.
    fn attributes(&self, new: &[New]) -> Vec<Attributes> {
        let from_tables = |new: &New| Attributes { flags: new.flags, ..Attributes::default() };
        let mut attributes: Vec<Attributes> = new.iter().map(from_tables).collect();
        let Some(pages) = self.ways.pages else { return attributes };
        let mut order: Vec<(u64, usize)> =
            (0..new.len()).filter_map(|i| Some((new[i].number?, i))).collect();
        order.sort_unstable();
        let numbers: Vec<u64> = order.iter().map(|(number, _)| *number).collect();
        let mut facts = pages.attributes(&numbers);
        if let Some(uses) = self.ways.uses {
            for (fact, count) in facts.iter_mut().zip(uses.ref_counts(&numbers)) {
                fact.ref_count = count;
            }
        }
        for ((_, i), fact) in order.into_iter().zip(facts) {
            let kept = new[i].flags.0 & (FrameFlags::DEVICE.0 | FrameFlags::HUGETLB.0);
            attributes[i] = Attributes { flags: fact.flags | FrameFlags(kept), ..fact };
        }
        attributes
    }

    /// The index of a mapping's file, and the file if it is a new one.
    fn file(&mut self, dir: &ProcessDir, details: &MappingDetails) -> (Option<u32>, Option<File>) {
        let mapping = &details.mapping;
        if mapping.inode == 0 {
            return (None, None);
        }
        let (major, minor) = mapping.device;
        let id = (makedev(major, minor), mapping.inode);
        let next = self.files.len() as u32;
        let mut new = None;
        let index = *self.files.entry(id).or_insert_with(|| {
            new = Some(File {
                device: id.0,
                inode: id.1,
                path: mapping.name.clone(),
                size: dir.mapped_size(&mapping.range).unwrap_or(0),
            });
            next
        });
        (Some(index), new)
    }
}

/// What was gathered of a process.
#[derive(Default)]
struct Batch {
    entries: Vec<Entry>,
    new: Vec<New>,
}

impl New {
    fn of(page: &Page, is_special: bool, is_hugetlb: bool) -> Self {
        let mut flags = if page.is_file { FrameFlags::NAMED } else { FrameFlags::ANONYMOUS };
        let mut content = None;
        if page.is_huge {
            flags |= if is_hugetlb { FrameFlags::HUGETLB } else { FrameFlags::HUGE };
        }
        if page.is_zero {
            (flags, content) = (FrameFlags::ZERO_PAGE, Some(Content::Zero));
        } else if is_special {
            // To read a device's memory may do something to it.
            (flags, content) = (FrameFlags::DEVICE, Some(Content::Unread));
        }
        Self { number: page.frame, address: page.address, flags, content }
    }
}

fn page_flags(page: &Page, is_special: bool) -> PageFlags {
    let flag = |is_set: bool, flag: PageFlags| if is_set { flag } else { PageFlags::default() };
    flag(page.is_soft_dirty, PageFlags::SOFT_DIRTY)
        | flag(page.is_exclusive, PageFlags::EXCLUSIVE)
        | flag(page.is_file, PageFlags::FILE)
        | flag(page.is_huge, PageFlags::HUGE)
        | flag(is_special, PageFlags::SPECIAL)
}

fn mapping(details: MappingDetails, file: Option<u32>) -> Mapping {
    let MappingDetails { mapping, swapped, flags, .. } = details;
    let name = match file {
        Some(_) => String::new(),
        None => String::from_utf8_lossy(&mapping.name).into_owned(),
    };
    Mapping {
        range: mapping.range,
        prot: mapping.prot,
        is_shared: mapping.shared,
        flags,
        file,
        offset: mapping.offset,
        name,
        swapped: swapped / PAGE as u64,
    }
}

fn describe(dir: &ProcessDir, stat: &Stat, mappings: &[MappingDetails]) -> io::Result<Process> {
    let status = dir.status()?;
    let of = |name: &[u8]| {
        let found = mappings.iter().find(|details| details.mapping.name == name);
        found.map(|details| details.mapping.range.clone()).unwrap_or_default()
    };
    Ok(Process {
        pid: dir.pid(),
        start: stat.start,
        name: stat.name.clone(),
        exe: dir.link("exe").map(OsStringExt::into_vec).unwrap_or_default(),
        uid: status.uid,
        cgroup: dir.cgroup().unwrap_or_default(),
        size: status.size,
        committed: status.committed,
        swapped: status.swapped,
        code: stat.code.clone(),
        heap: of(b"[heap]"),
        stack: of(b"[stack]"),
    })
}
