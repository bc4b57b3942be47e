//! Writes snapshots: records are gathered into sections, each compressed, as they come.

use std::collections::HashMap;
use std::io::{self, Write};

use xxhash_rust::xxh3::xxh3_64;

use super::attributes::Attributes;
use super::block::FrameBlock;
use super::flags::PageFlags;
use super::record::{File, Header, Mapping, Process, Record, Run, Totals};
use crate::hash::PageHash;

/// What a file begins with: the format's name and version.
pub const MAGIC: &[u8; 12] = b"pagescan\x01\0\0\0";
/// About as many bytes are gathered to a section before they are compressed.
const SECTION: usize = 4 << 20;
/// A section has at most as many, uncompressed.
pub const MOST_SECTION: usize = 16 << 20;
/// So many frames make a block, so many runs a record.
const BLOCK: usize = 64 << 10;
/// Hashes do not get smaller by trying harder, and what else there is is alike.
const LEVEL: i32 = 1;

/// Writes a snapshot.
pub struct Writer<W: Write> {
    out: W,
    section: Vec<u8>,
    block: FrameBlock,
    kinds: HashMap<Attributes, u32>,
    runs: Vec<Run>,
    /// The run that may still grow: its first page, its first frame, and the rest of it.
    open: Option<(u64, u64, Run)>,
    /// The page and the frame behind the last run.
    behind: (u64, u64),
    /// The frame number behind the last one.
    behind_number: u64,
    totals: Totals,
}

impl<W: Write> Writer<W> {
    /// Begins a file of snapshots with its first.
    pub fn new(mut out: W, header: Header) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        Self::append(out, header)
    }

    /// Begins a snapshot behind another in the same file.
    pub fn append(out: W, header: Header) -> io::Result<Self> {
        let mut writer = Self {
            out,
            section: Vec::new(),
            block: FrameBlock::default(),
            kinds: HashMap::new(),
            runs: Vec::new(),
            open: None,
            behind: (0, 0),
            behind_number: 0,
            totals: Totals::default(),
        };
        writer.record(&Record::Header(header))?;
        Ok(writer)
    }

    /// Adds a frame; its number, if the kernel tells it, and for what it holds the hash, which is of no meaning where the flags
    /// say so. Returns its index.
    pub fn frame(
        &mut self,
        number: Option<u64>,
        attributes: Attributes,
        hash: PageHash,
    ) -> io::Result<u64> {
        let next = self.kinds.len() as u32;
        let kind = *self.kinds.entry(attributes).or_insert_with(|| {
            self.block.attributes.push(attributes);
            next
        });
        self.block.kinds.push(kind);
        if let Some(number) = number {
            self.block.numbers.push(number.wrapping_sub(self.behind_number) as i64);
            self.behind_number = number.wrapping_add(1);
        }
        if attributes.flags.is_hashed() {
            self.block.hashes.extend_from_slice(&hash.0);
        }
        self.totals.frames += 1;
        if self.block.kinds.len() >= BLOCK {
            self.flush_block()?;
        }
        Ok(self.totals.frames - 1)
    }

    /// How many frames were added: the next one's index.
    pub fn frames(&self) -> u64 {
        self.totals.frames
    }

    /// Adds a process; mappings that follow are its.
    pub fn process(&mut self, process: Process) -> io::Result<()> {
        self.flush_runs()?;
        self.record(&Record::Process(process))
    }

    /// Adds a mapping of the last process; pages that follow are its.
    pub fn mapping(&mut self, mapping: Mapping) -> io::Result<()> {
        self.flush_runs()?;
        self.behind = (0, 0);
        self.record(&Record::Mapping(mapping))
    }

    /// Adds a file; pages that follow are its.
    pub fn file(&mut self, file: File) -> io::Result<()> {
        self.flush_runs()?;
        self.behind = (0, 0);
        self.record(&Record::File(file))
    }

    /// Says that a page of the last mapping or file, by its number in it, is in a frame, by its index. Pages come in
    /// ascending order.
    pub fn page(&mut self, page: u64, frame: u64, flags: PageFlags) -> io::Result<()> {
        self.totals.pages += 1;
        if let Some((first_page, first_frame, run)) = &mut self.open {
            let follows = page == *first_page + run.len && frame == *first_frame + run.len;
            if follows && flags == run.flags {
                run.len += 1;
                return Ok(());
            }
        }
        self.close_run();
        if self.runs.len() >= BLOCK {
            let runs = std::mem::take(&mut self.runs);
            self.record(&Record::Runs(runs))?;
        }
        let skip = page.wrapping_sub(self.behind.0);
        let step = frame.wrapping_sub(self.behind.1) as i64;
        self.open = Some((page, frame, Run { skip, step, len: 1, flags }));
        Ok(())
    }

    /// Ends the snapshot; `totals` says what the machine says of itself. Returns where it was written to.
    pub fn finish(mut self, totals: Totals) -> io::Result<W> {
        self.flush_runs()?;
        self.flush_block()?;
        let Totals { frames, pages, .. } = self.totals;
        self.record(&Record::Totals(Totals { frames, pages, ..totals }))?;
        self.flush_section()?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn close_run(&mut self) {
        if let Some((page, frame, run)) = self.open.take() {
            self.behind = (page + run.len, frame + run.len);
            self.runs.push(run);
        }
    }

    fn flush_runs(&mut self) -> io::Result<()> {
        self.close_run();
        let runs = std::mem::take(&mut self.runs);
        if runs.is_empty() { Ok(()) } else { self.record(&Record::Runs(runs)) }
    }

    fn flush_block(&mut self) -> io::Result<()> {
        let block = std::mem::take(&mut self.block);
        if block.kinds.is_empty() { Ok(()) } else { self.record(&Record::Frames(block)) }
    }

    fn record(&mut self, record: &Record) -> io::Result<()> {
        let bytes = postcard::to_stdvec(record).map_err(io::Error::other)?;
        if self.section.len() + bytes.len() > MOST_SECTION {
            self.flush_section()?;
        }
        self.section.extend_from_slice(&bytes);
        if self.section.len() >= SECTION { self.flush_section() } else { Ok(()) }
    }

    fn flush_section(&mut self) -> io::Result<()> {
        if self.section.is_empty() {
            return Ok(());
        }
        section(&self.section, &mut self.out)?;
        self.section.clear();
        Ok(())
    }
}

/// Writes records, encoded, as a section.
pub fn section(records: &[u8], out: &mut impl Write) -> io::Result<()> {
    let stored = zstd::bulk::compress(records, LEVEL)?;
    out.write_all(&(stored.len() as u32).to_le_bytes())?;
    out.write_all(&(records.len() as u32).to_le_bytes())?;
    out.write_all(&xxh3_64(&stored).to_le_bytes())?;
    out.write_all(&stored)
}
