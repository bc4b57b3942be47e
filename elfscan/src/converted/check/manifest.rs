//! The manifest in itself, and held against the memory that the starter makes.

use std::ops::Range;

use statify_elf::{PAGE, page_up};
use statify_format::manifest::{EmbeddedFile, FileKind, Memory};
use statify_process::procfs::prot_name;

use super::problem::{Part, Problem, Problems};
use crate::converted::memory;
use crate::converted::open::Converted;
use crate::converted::places::{self, Places};

/// Checks it.
pub fn check(
    converted: &Converted<'_>,
    places: &Places,
    memory: Option<&memory::Memory>,
    problems: &mut Problems,
) {
    let manifest = &converted.manifest;
    let kinds: Vec<FileKind> = manifest.files.iter().map(|file| file.kind).collect();
    let ordered = kinds.is_sorted_by_key(|&kind| rank(kind))
        && kinds.iter().filter(|&&kind| kind == FileKind::Program).count() == 1
        && kinds.iter().filter(|&&kind| kind == FileKind::Loader).count() == 1;
    problems.expect(
        ordered,
        Part::Manifest,
        "it does not list program, loader, libraries, plugins",
    );
    problems.expect(
        manifest.options.align.is_power_of_two() && manifest.options.align >= PAGE,
        Part::Manifest,
        "the alignment is no power of two, or less than a page",
    );
    for file in &manifest.files {
        check_file(file, problems);
    }
    let mut ranges: Vec<Range<u64>> =
        places::all(manifest).map(|(file, memory)| places.of_memory(file, memory)).collect();
    ranges.sort_unstable_by_key(|range| range.start);
    for pair in ranges.windows(2).filter(|pair| pair[0].end > pair[1].start) {
        let problem = Problem::new(Part::Manifest, "two memories overlap");
        problems.push(Problem { address: Some(pair[1].start), ..problem });
    }
    let Some(stored) = manifest.stored() else {
        return problems.add(
            Part::Manifest,
            "what it says to be stored is stored twice, or in no whole pages",
        );
    };
    let end = stored.last().map_or(0, |range| range.end);
    let within = end <= converted.bytes().len() as u64;
    problems.expect(within, Part::Manifest, "what it says to be stored is beyond the file's end");
    if let Some(space) = memory {
        for (file, memory) in places::all(manifest) {
            if let Some(what) = disagreement(memory, places.of_memory(file, memory), space) {
                let problem = file.map_or_else(
                    || Problem::new(Part::Memory, what),
                    |file| Problem::of(file, what),
                );
                let (prot, address) = (Some(memory.prot.clone()), Some(memory.address));
                problems.push(Problem { prot, address, ..problem });
            }
        }
    }
}

fn rank(kind: FileKind) -> u8 {
    match kind {
        FileKind::Program => 0,
        FileKind::Loader => 1,
        FileKind::Library => 2,
        FileKind::Plugin => 3,
    }
}

fn check_file(file: &EmbeddedFile, problems: &mut Problems) {
    let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_hash(&file.sha256) || !is_hash(&file.stored_blake3) {
        let problem = Problem::of(file, "the manifest has no hash of it");
        problems.push(Problem { part: Part::Manifest, ..problem });
    }
    let first = file.memory.first().map(|memory| memory.address);
    if first != Some(file.address) {
        problems.push(Problem::of(file, "its first page is not at its address"));
    }
    let ascending =
        |pair: &[Memory]| pair[0].address.saturating_add(pair[0].size) <= pair[1].address;
    if !file.memory.windows(2).all(ascending) {
        problems.push(Problem::of(file, "its memory overlaps, or is out of order"));
    }
    // ld.so makes the gap between segments out of a mapping of the file that goes on behind its end, and
    // nobody may look at it.
    let readable = |memory: &&Memory| memory.prot != prot_name(0);
    for memory in file.memory.iter().filter(readable) {
        let end = memory.file_offset.map(|offset| offset.saturating_add(memory.size));
        if end.is_some_and(|end| end > page_up(file.size)) {
            let problem = Problem::of(file, "it has memory of behind its end");
            problems.push(Problem { address: Some(memory.address), ..problem });
        }
    }
}

/// What the starter makes of a memory that is not as the manifest says.
fn disagreement(
    memory: &Memory,
    range: Range<u64>,
    space: &memory::Memory,
) -> Option<&'static str> {
    if !(memory.address | memory.size).is_multiple_of(PAGE) || memory.size == 0 {
        return Some("the manifest lists memory of no whole pages");
    }
    if !space.last.all(range.clone(), |_| true) {
        return Some("the manifest lists memory that is not mapped");
    }
    if !space.last.all(range.clone(), |mapped| prot_name(mapped.prot) == memory.prot) {
        return Some("its permissions are not what the manifest says");
    }
    let from_file = match memory.stored_at {
        Some(offset) => space.offset(range.start, memory.size) == Some(offset),
        None => space.last.all(range, |mapped| mapped.offset.is_none()),
    };
    (!from_file).then_some("its bytes are not mapped from where the manifest says")
}
