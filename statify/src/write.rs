//! The output file: what is written to it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use goblin::elf::header::{
    EI_CLASS, EI_DATA, EI_VERSION, ELFCLASS32, ELFCLASS64, ELFDATA2LSB, ELFMAG, ET_DYN, ET_EXEC,
    EV_CURRENT, Header, SIZEOF_IDENT,
};
use goblin::elf::program_header::{
    PF_R, PF_W, PF_X, PT_GNU_STACK, PT_LOAD, PT_NOTE, ProgramHeader,
};
use memmap2::Mmap;
use statify_elf::encode::{self, Sizes};
use statify_elf::{ElfFile, PAGE, PROT_EXEC, PROT_READ, PROT_WRITE};
use statify_format::build_id;
use statify_format::manifest::{Manifest, note, note_len};

use crate::capture::PROGRAM;
use crate::chunks::{ChunkWriter, Watch};
use crate::classify::{Image, Region};
use crate::layout::{Load, OTHER_HEADERS, Plan, Segment};
use crate::place::{OutPlace, Place};
use crate::sharing::{Sharing, sources};
use crate::unloaded::{Embedding, Part, Unloaded, section_headers};

/// What was written.
#[derive(Debug)]
pub struct Written {
    /// The file's size, in bytes.
    pub size: u64,
    /// File offsets of what was not written, but is shared with embedded files; ascending.
    pub shared: Vec<Range<u64>>,
}

/// Writes everything that the plan and the image say, the manifest and the sums of the pages, the section headers, and what
/// the program's file ends with. What `sharing` makes shared is not written.
pub fn write(
    file: &File,
    image: &Image,
    plan: &Plan,
    unloaded: &Unloaded,
    manifest: &Manifest,
    sharing: Option<&dyn Sharing>,
) -> io::Result<Written> {
    let unplanned = || io::Error::other("what is to be stored overlaps");
    let front = plan.front_offset + plan.front.len() as u64;
    let ranges = build_id::ranges(0..front, manifest).ok_or_else(unplanned)?;
    let pages: u64 = ranges.iter().map(|range| (range.end - range.start).div_ceil(PAGE)).sum();
    let mut notes = manifest.to_note();
    let len = notes.len() + note_len(build_id::sums_len(pages as usize));
    let checksums = Checksums { pages: Vec::with_capacity(pages as usize) };
    let end = End::of(plan, unloaded, manifest, len as u64, image.machine().sizes());
    let sources = match sharing {
        Some(_) => sources(image, &plan.segments, &unloaded.parts, end.payload),
        None => Vec::new(),
    };
    let table = section_table(image, plan, unloaded, manifest);
    let mut out = ChunkWriter::new(file, checksums, sharing, sources);
    out.put(&headers(plan, &end, image))?;
    out.skip_to(plan.front_offset)?;
    out.put(&plan.front)?;
    for (offset, stored) in in_order(plan, unloaded, &end) {
        out.skip_to(offset)?;
        match stored {
            Stored::Segment(segment) => for_each_run(image, segment, |bytes, padding| {
                out.put(bytes)?;
                out.put(&[0; PAGE as usize][..padding])
            })?,
            Stored::Part(part) => out.put(part.bytes(image))?,
            Stored::Sections => out.put(&table)?,
        }
    }
    let (shared, Checksums { pages: mut checksums }) = out.finish()?;
    checksums.retain(|(page, _)| {
        let next = ranges.partition_point(|range| range.start <= *page);
        next.checked_sub(1).is_some_and(|index| ranges[index].contains(page))
    });
    let checksums: Vec<u32> = checksums.iter().map(|(_, checksum)| *checksum).collect();
    notes.extend(note(build_id::SUMS_TYPE, &build_id::sums(&checksums)));
    file.write_all_at(&notes, end.notes.start)?;
    Ok(Written { size: end.len, shared })
}

/// Where what is not the plan's lies: in the room that it has for that, or behind everything.
struct End {
    /// File offsets of the notes.
    notes: Range<u64>,
    /// File offsets of the section headers.
    sections: Range<u64>,
    /// Where a payload begins: right behind the section headers, as where a linker's file has an end.
    payload: u64,
    /// The whole file's length.
    len: u64,
}

impl End {
    fn of(plan: &Plan, unloaded: &Unloaded, manifest: &Manifest, notes: u64, sizes: Sizes) -> Self {
        let len = |part: &Part| part.range.end - part.range.start;
        let ends = || unloaded.parts.iter().filter_map(|part| Some(part.at? + len(part)));
        let end = ends().fold(plan.end, u64::max);
        let payload = unloaded.parts.iter().find(|part| part.at.is_none());
        let size = (unloaded.sections.len() * sizes.section_header) as u64;
        let inside = ends().filter(|end| plan.room.contains(end)).fold(plan.room.start, u64::max);
        let inside = inside.next_multiple_of(8);
        let table = (inside + notes).next_multiple_of(8);
        if payload.is_none() && table + size <= plan.room.end {
            let (notes, sections) = (inside..inside + notes, table..table + size);
            return Self { notes, payload: sections.end, sections, len: end };
        }
        let start = end.next_multiple_of(8);
        let notes = start..start + notes;
        let mut table = notes.end;
        if size > 0 {
            table = table.next_multiple_of(8);
            // So that blocks of the payload are the same in both files.
            let wanted = payload.map(|payload| payload.range.start).filter(|at| at % 8 == 0);
            let distance = wanted.map(|wanted| wanted.wrapping_sub(table + size));
            table += distance.unwrap_or(0) & (manifest.options.align - 1);
        }
        let sections = table..table + size;
        let payload_len = payload.map_or(0, len);
        Self { notes, payload: sections.end, len: sections.end + payload_len, sections }
    }
}

/// What is stored of the image, or of the program's file.
enum Stored<'a> {
    Segment(&'a Segment),
    Part(&'a Part),
    /// The section headers.
    Sections,
}

/// All behind the front but the notes, in the order of the file.
fn in_order<'a>(plan: &'a Plan, unloaded: &'a Unloaded, end: &End) -> Vec<(u64, Stored<'a>)> {
    let segments = plan.segments.iter().filter(|segment| segment.file_len > 0);
    let segments = segments.map(|segment| (segment.offset, Stored::Segment(segment)));
    let parts = unloaded.parts.iter();
    let parts = parts.map(|part| (part.at.unwrap_or(end.payload), Stored::Part(part)));
    let sections =
        (!unloaded.sections.is_empty()).then_some((end.sections.start, Stored::Sections));
    let mut all: Vec<_> = segments.chain(sections).chain(parts).collect();
    all.sort_by_key(|(offset, _)| *offset);
    all
}

/// The section headers of the output, as bytes.
pub fn section_table(
    image: &Image,
    plan: &Plan,
    unloaded: &Unloaded,
    manifest: &Manifest,
) -> Vec<u8> {
    let program = &image.objects[PROGRAM].bytes;
    let (address, offset) = build_id(plan, image.machine().sizes());
    let place = Embedding {
        bias: plan.program_bias(image),
        memory: &manifest.files[0].memory,
        build_id: (address, offset),
    };
    section_headers(program, unloaded, &place)
}

/// The address and the file offset of the build-id's note: in the first page, where the kernel's
/// profiler looks for it and core dumps have it.
fn build_id(plan: &Plan, sizes: Sizes) -> (u64, u64) {
    let offset = (sizes.header + program_headers(plan) * sizes.program_header) as u64;
    let front = plan.loads.iter().find(|load| load.offset == 0 && load.file_len > 0);
    (front.map_or(0, |front| front.address.value()) + offset, offset)
}

/// How many there are.
fn program_headers(plan: &Plan) -> usize {
    plan.loads.len() + OTHER_HEADERS
}

/// Writes the build-id that the file's contents have.
pub fn write_build_id(file: &File, manifest: &Manifest) -> io::Result<()> {
    let damaged = || io::Error::other("what was written cannot be read back");
    // SAFETY: the file has no name yet that anybody else would write to; its bytes are only read.
    let bytes = unsafe { Mmap::map(file) }?;
    let elf = ElfFile::parse(&bytes).map_err(io::Error::other)?;
    let id = build_id::build_id(&bytes, &elf, manifest).ok_or_else(damaged)?;
    let at = build_id::position(&bytes, &elf).ok_or_else(damaged)?;
    file.write_all_at(&id, at as u64)
}

/// Checksums of the pages of a file.
#[derive(Default)]
struct Checksums {
    /// File offsets of whole pages, ascending, with their checksums; none of holes.
    pages: Vec<(u64, u32)>,
}

impl Watch for Checksums {
    fn see(&mut self, at: u64, chunk: &[u8]) {
        let next = self.pages.last().map_or(0, |(page, _)| page + PAGE);
        let done = next.saturating_sub(at) / PAGE;
        let pages = chunk.chunks_exact(PAGE as usize).enumerate().skip(done as usize);
        self.pages.extend(
            pages.map(|(index, page)| (at + index as u64 * PAGE, build_id::checksum(page))),
        );
    }
}

/// Calls `run` with the bytes of a segment in runs, each as long as they lie together, and the
/// number of zero bytes behind each.
pub fn for_each_run<E>(
    image: &Image,
    segment: &Segment,
    mut run: impl FnMut(&[u8], usize) -> Result<(), E>,
) -> Result<(), E> {
    let range = segment.file_range();
    let mut place = range.start;
    for region in
        image.regions.iter().filter(|r| r.range.end > range.start && r.range.start < range.end)
    {
        let end = region.range.end.min(range.end);
        while place < end {
            if let Some(page) = image.pages.get(&place) {
                run(&page[..], 0)?;
                place += PAGE;
                continue;
            }
            let next = image.pages.range(place..end).next().map_or(end, |(&next, _)| next);
            let (bytes, padding) = plain(image, region, place, next);
            run(bytes, 0)?;
            let mut padding = padding;
            while padding > 0 {
                let some = padding.min(PAGE as usize);
                run(&[], some)?;
                padding -= some;
            }
            place = next;
        }
    }
    Ok(())
}

/// Plain pages of a region: bytes of its file, and how many zero bytes follow.
fn plain<'a>(image: &'a Image, region: &Region, start: Place, end: Place) -> (&'a [u8], usize) {
    let len = (end - start) as usize;
    let Some((object, offset)) = region.file else {
        return (&[], len);
    };
    let bytes = &image.objects[object].bytes;
    let first = ((offset + (start - region.range.start)) as usize).min(bytes.len());
    let bytes = &bytes[first..bytes.len().min(first + len)];
    (bytes, len - bytes.len())
}

/// The ELF header, the program headers and the note for the build-id. The section headers are numbered
/// as those of the program are.
fn headers(plan: &Plan, end: &End, image: &Image) -> Vec<u8> {
    let machine = image.machine();
    let (sizes, is_64) = (machine.sizes(), machine.is_64());
    let phnum = program_headers(plan);
    let shnum = (end.sections.end - end.sections.start) / sizes.section_header as u64;
    let has_sections = shnum > 0;
    let program = &image.objects[PROGRAM].bytes;
    let names = ElfFile::parse(program).map_or(0, |elf| elf.header().e_shstrndx);
    let mut e_ident = [0; SIZEOF_IDENT];
    e_ident[..ELFMAG.len()].copy_from_slice(ELFMAG);
    e_ident[EI_CLASS] = if is_64 { ELFCLASS64 } else { ELFCLASS32 };
    e_ident[EI_DATA] = ELFDATA2LSB;
    e_ident[EI_VERSION] = EV_CURRENT;
    let header = Header {
        e_ident,
        e_type: if plan.fixed { ET_EXEC } else { ET_DYN },
        e_machine: machine.e_machine(),
        e_version: EV_CURRENT.into(),
        e_entry: plan.entry.value(),
        e_phoff: sizes.header as u64,
        e_shoff: if has_sections { end.sections.start } else { 0 },
        e_flags: 0,
        e_ehsize: sizes.header as u16,
        e_phentsize: sizes.program_header as u16,
        e_phnum: phnum as u16,
        e_shentsize: if has_sections { sizes.section_header as u16 } else { 0 },
        e_shnum: shnum as u16,
        e_shstrndx: if has_sections { names } else { 0 },
    };
    let mut bytes = encode::header(&header, is_64);
    let mut add = |kind, load: &Load| {
        bytes.extend(encode::program_header(&program_header(kind, load), is_64));
    };
    for load in &plan.loads {
        add(PT_LOAD, load);
    }
    let prot = PROT_READ | PROT_WRITE;
    let exec = if plan.executable_stack { PROT_EXEC } else { 0 };
    let nowhere = OutPlace::default();
    let stack =
        Load { address: nowhere, len: 0, offset: 0, file_len: 0, prot: prot | exec, align: 16 };
    add(PT_GNU_STACK, &stack);
    let note = |address, offset, len| Load {
        address,
        len,
        offset,
        file_len: len,
        prot: PROT_READ,
        align: 4,
    };
    let (address, offset) = build_id(plan, sizes);
    add(PT_NOTE, &note(OutPlace::new(address), offset, build_id::NOTE as u64));
    add(PT_NOTE, &note(nowhere, end.notes.start, end.notes.end - end.notes.start));
    bytes.extend(build_id::empty_note());
    bytes
}

fn program_header(kind: u32, load: &Load) -> ProgramHeader {
    ProgramHeader {
        p_type: kind,
        p_flags: segment_flags(load.prot),
        p_offset: load.offset,
        p_vaddr: load.address.value(),
        p_paddr: load.address.value(),
        p_filesz: load.file_len,
        p_memsz: load.len,
        p_align: load.align,
    }
}

/// PF_* for PROT_*.
pub fn segment_flags(prot: u32) -> u32 {
    [(PROT_READ, PF_R), (PROT_WRITE, PF_W), (PROT_EXEC, PF_X)]
        .iter()
        .filter(|(bit, _)| prot & *bit != 0)
        .fold(0, |flags, (_, flag)| flags | flag)
}
