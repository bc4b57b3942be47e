//! What was written, read back and held against the plan before it gets its name.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use goblin::elf::program_header::{PT_DYNAMIC, PT_GNU_STACK, PT_INTERP, PT_LOAD, PT_NOTE};
use memmap2::Mmap;
use statify_elf::encode::Sizes;
use statify_elf::{ElfFile, PAGE, PROT_EXEC, PROT_WRITE};
use statify_format::build_id;
use statify_format::manifest::Manifest;
use statify_format::parameters::Parameters;

use crate::classify::Image;
use crate::layout::{Load, Plan};
use crate::plugins;
use crate::unloaded::Unloaded;
use crate::write::{self, for_each_run, segment_flags};

/// Checks the file; every mismatch is named. What is `shared` with embedded files (file offsets) was
/// compared when it became so, and is not read from the disk again.
pub fn check(
    file: &File,
    image: &Image,
    plan: &Plan,
    unloaded: &Unloaded,
    manifest: &Manifest,
    shared: &[Range<u64>],
) -> Result<(), String> {
    // SAFETY: the file has no name yet that anybody else would write to; its bytes are only read.
    let bytes = unsafe { Mmap::map(file) }.map_err(|error| error.to_string())?;
    let mut wrong = Vec::new();
    let elf = ElfFile::parse(&bytes).map_err(|error| error.to_string())?;
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            wrong.push(what.to_owned());
        }
    };
    let of_type = |kind| elf.segments().iter().filter(move |segment| segment.p_type == kind);
    expect(of_type(PT_INTERP).next().is_none(), "it has a PT_INTERP");
    expect(of_type(PT_DYNAMIC).next().is_none(), "it has a PT_DYNAMIC");
    let sizes = Sizes::of(elf.is_64());
    let table =
        (sizes.header + sizes.program_header * elf.segments().len() + build_id::NOTE) as u64;
    expect(table <= PAGE, "its program headers take more than a page");
    expect(of_type(PT_LOAD).count() == plan.loads.len(), "the number of PT_LOADs differs");
    for (segment, load) in of_type(PT_LOAD).zip(&plan.loads) {
        let as_planned = segment.p_vaddr == load.address.value()
            && segment.p_memsz == load.len
            && segment.p_filesz == load.file_len
            && segment.p_flags == segment_flags(load.prot)
            && (load.file_len == 0 || segment.p_offset == load.offset);
        expect(as_planned, &format!("the PT_LOAD at {:#x} differs", load.address));
        let both = PROT_WRITE | PROT_EXEC;
        expect(
            load.prot & both != both,
            &format!("the PT_LOAD at {:#x} is writable and executable", load.address),
        );
        let congruent = load.file_len == 0 || load.offset % PAGE == load.address.value() % PAGE;
        expect(congruent, &format!("the PT_LOAD at {:#x} cannot be mapped", load.address));
    }
    let apart = |pair: &[Load]| pair[0].address + pair[0].len <= pair[1].address;
    expect(plan.loads.windows(2).all(apart), "PT_LOADs overlap or are not in order");
    expect(elf.header().e_entry == plan.entry.value(), "the entry point differs");
    let stack = of_type(PT_GNU_STACK).next().map(|segment| segment.p_flags & 1 == 1);
    expect(stack == Some(plan.executable_stack), "PT_GNU_STACK differs");
    expect(of_type(PT_NOTE).count() == 2, "it has not exactly two PT_NOTEs");
    let build_id = build_id::build_id(&bytes, &elf, manifest).map(|id| id.to_vec());
    expect(build_id.is_some() && build_id == elf.build_id(), "the build-id is not its own");
    expect(Manifest::read(&elf).as_ref() == Some(manifest), "the manifest differs");
    let front = plan.front_offset as usize..plan.front_offset as usize + plan.front.len();
    expect(bytes.get(front) == Some(&plan.front[..]), "the starter or its tables differ");
    if let Err(what) = check_tables(&elf, plan) {
        expect(false, &what);
    }
    if let Some(Err(what)) = image.agent.map(|agent| plugins::check(&bytes, image, plan, agent)) {
        expect(false, &what);
    }
    for segment in plan.segments.iter().filter(|segment| segment.file_len > 0) {
        let mut written = Window::new(file, segment.file_len, segment.offset, shared);
        let same = for_each_run(image, segment, |run, zeros| {
            written.expect(run)?;
            written.expect(&[0; PAGE as usize][..zeros])
        });
        expect(same.is_ok(), &format!("the bytes at file offset {:#x} differ", segment.offset));
    }
    for (part, place) in unloaded
        .parts
        .iter()
        .zip(manifest.unloaded_at(bytes.len() as u64).ok_or("what is not loaded has no place")?)
    {
        let mut written = Window::new(file, place.end - place.start, place.start, shared);
        let same = written.expect(part.bytes(image));
        expect(same.is_ok(), &format!("the bytes at file offset {:#x} differ", place.start));
    }
    let table = write::section_table(image, plan, unloaded, manifest);
    let (offset, size) = elf.section_table();
    expect(elf.range(offset, size) == Some(&table[..]), "the section headers differ");
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join(", ")) }
}

/// A part of the file, read piece by piece: mapped, it would double the memory that a conversion takes.
struct Window<'a> {
    file: &'a File,
    /// File offset of what was not read yet, and how much that is.
    next: u64,
    left: u64,
    buffer: Vec<u8>,
    /// How much of the buffer was looked at.
    used: usize,
    /// File offsets of what is not read; those behind `next`.
    shared: &'a [Range<u64>],
}

impl<'a> Window<'a> {
    /// In bytes: stays in a CPU's cache.
    const SIZE: u64 = 256 << 10;

    fn new(file: &'a File, left: u64, offset: u64, shared: &'a [Range<u64>]) -> Self {
        let shared = &shared[shared.partition_point(|range| range.end <= offset)..];
        Self { file, next: offset, left, buffer: Vec::new(), used: 0, shared }
    }

    /// Whether these bytes come next.
    fn expect(&mut self, mut bytes: &[u8]) -> Result<(), ()> {
        while !bytes.is_empty() {
            if self.used == self.buffer.len() {
                let skipped = self.skip(bytes.len());
                if skipped > 0 {
                    bytes = &bytes[skipped..];
                    continue;
                }
                self.read().ok_or(())?;
            }
            let there = &self.buffer[self.used..];
            let len = there.len().min(bytes.len());
            if there[..len] != bytes[..len] {
                return Err(());
            }
            self.used += len;
            bytes = &bytes[len..];
        }
        Ok(())
    }

    /// Goes on behind what is shared, but no more than `most` bytes. Returns by how many.
    fn skip(&mut self, most: usize) -> usize {
        let Some(range) = self.shared.first().filter(|range| range.start <= self.next) else {
            return 0;
        };
        let len = (range.end - self.next).min(self.left).min(most as u64);
        self.next += len;
        self.left -= len;
        if self.next == range.end {
            self.shared = &self.shared[1..];
        }
        len as usize
    }

    fn read(&mut self) -> Option<()> {
        let unshared = self.shared.first().map_or(u64::MAX, |range| range.start - self.next);
        let len = self.left.min(Self::SIZE).min(unshared);
        self.buffer.resize(len as usize, 0);
        self.file.read_exact_at(&mut self.buffer, self.next).ok()?;
        self.used = 0;
        self.next += len;
        self.left -= len;
        (len > 0).then_some(())
    }
}

/// The parameter block lies right before the entry point, and its tables before it.
fn check_tables(elf: &ElfFile<'_>, plan: &Plan) -> Result<(), String> {
    let parameters = Parameters::read(elf).map_err(|error| error.to_string())?;
    let mapped = parameters.maps().count() + parameters.params.zeros.count as usize == plan.mapped;
    if mapped { Ok(()) } else { Err("the starter does not map what it should".into()) }
}
