//! Every byte of the file: under a hash, or zero. Which page is damaged the sums of the pages' checksums tell;
//! they are looked at only if something is.

use std::collections::BTreeSet;
use std::ops::Range;

use goblin::elf::section_header::{SHT_NOBITS, SHT_NULL};
use rayon::prelude::*;
use statify_elf::PAGE;
use statify_elf::holes::LARGEST;
use statify_format::build_id::{self, Damage, SUMMED, SUMS_TYPE, Sums};
use statify_format::manifest::{EmbeddedFile, Memory, NOTE_NAME, NOTE_TYPE, Unloaded, hex, note};

use super::problem::{Part, Problem, Problems};
use crate::converted::open::Converted;
use crate::converted::places;

/// The most pages of one segment that are told one by one.
const MOST_PAGES: usize = 4;
/// The most sections that are named of one part.
const MOST_NAMES: usize = 64;

/// Checks them.
pub fn check(converted: &Converted<'_>, extents: &[Range<u64>], problems: &mut Problems) {
    let notes = check_notes(converted, problems);
    check_hashes(converted, problems);
    check_unloaded(converted, problems);
    if let Some(notes) = notes {
        check_padding(converted, notes, extents, problems);
    }
}

/// The notes of the output's own: exactly two, one behind the other. Where they are.
fn check_notes(converted: &Converted<'_>, problems: &mut Problems) -> Option<Range<u64>> {
    let (elf, bytes) = (&converted.elf, converted.bytes());
    let json = elf.note(NOTE_NAME, NOTE_TYPE)?;
    let sums = elf.note(NOTE_NAME, SUMS_TYPE).unwrap_or_default();
    // More than there can be are damage; they are not copied.
    let sums = &sums[..sums.len().min(build_id::sums_len((LARGEST / PAGE) as usize))];
    let mut notes = note(NOTE_TYPE, json);
    let first =
        (json.as_ptr() as usize - bytes.as_ptr() as usize).checked_sub(12 + NOTE_NAME.len())?;
    notes.extend(note(SUMS_TYPE, sums));
    let end = first + notes.len();
    if bytes.get(first..end) != Some(&notes[..]) {
        problems
            .add(Part::Manifest, "its note, or that of the pages' checksums behind it, is damaged");
    }
    let segments = elf.segments().iter();
    let is_whole = |segment: &goblin::elf::program_header::ProgramHeader| {
        (segment.p_offset, segment.p_filesz) == (first as u64, notes.len() as u64)
    };
    let listed = segments.filter(|segment| is_whole(segment)).count() == 1;
    problems.expect(listed, Part::Manifest, "no program header says where it is");
    Some(first as u64..end as u64)
}

/// Hashes the build-id and every module; where one is wrong, looks for the pages.
fn check_hashes(converted: &Converted<'_>, problems: &mut Problems) {
    let (elf, bytes, manifest) = (&converted.elf, converted.bytes(), &converted.manifest);
    // Otherwise reported; and what overlaps could be hashed for ever.
    let Some(stored) = manifest.stored() else { return };
    if stored.last().is_some_and(|range| range.end > bytes.len() as u64) {
        return;
    }
    let damaged: Vec<&EmbeddedFile> = manifest
        .files
        .par_iter()
        .filter(|file| stored_hash(converted, file).as_deref() != Some(&*file.stored_blake3))
        .collect();
    let own = elf.build_id();
    let build_id = build_id::build_id(bytes, elf, manifest);
    let has_its_build_id = build_id.is_some_and(|id| own.as_deref() == Some(&id));
    if has_its_build_id && damaged.is_empty() {
        return;
    }
    let Some(pages) = build_id::pages(bytes, elf, manifest) else {
        problems
            .add(Part::Headers, "headers or manifest are damaged: the build-id cannot be computed");
        return damaged.iter().for_each(|file| problems.push(not_as_written(file)));
    };
    let checksums = build_id::checksums(bytes, elf, &pages);
    let found = build_id::sums(&checksums);
    let expected = elf.note(NOTE_NAME, SUMS_TYPE).unwrap_or_default();
    if expected.len() != found.len() {
        problems.add(Part::Manifest, "there are not as many sums as for all pages");
        return damaged.iter().for_each(|file| problems.push(not_as_written(file)));
    }
    let wrong = Wrong::find(&pages, &found, expected);
    // Are they right, and those in the note wrong?
    let with_these = build_id::build_id_with(bytes, elf, manifest, &found);
    let pages_are_right = with_these.is_some_and(|id| own.as_deref() == Some(&id));
    let mut told = tell(converted, &wrong, &damaged, pages_are_right, problems);
    for file in damaged {
        let range = |memory: &Memory| memory.stored_at.map(|at| at..at + memory.size);
        let mut own = file.memory.iter().filter_map(range);
        if !own.any(|range| wrong.pages.iter().any(|page| range.contains(page))) {
            let what =
                "the manifest's hash of it is not its memory's, every page of which is as written";
            problems.push(Problem { part: Part::Manifest, ..Problem::of(file, what) });
            told = true;
        }
    }
    if !told {
        let what = "it, the section headers or the build-id itself are not as they were written (every page is)";
        problems.add(Part::Manifest, what);
    }
}

/// Pages that are damaged; ascending.
#[derive(Default)]
struct Wrong {
    pages: Vec<u64>,
    /// Those of them that are, or others beside them.
    perhaps: BTreeSet<u64>,
}

impl Wrong {
    /// Those whose sums are not as `expected`.
    fn find(pages: &[u64], found: &[u8], expected: &[u8]) -> Self {
        let sums = found.as_chunks().0.iter().zip(expected.as_chunks().0);
        let mut wrong = Self::default();
        for (together, (found, expected)) in pages.chunks(SUMMED).zip(sums) {
            let expected = Sums::from_bytes(expected);
            match Sums::from_bytes(found).damage(expected, together.len()) {
                None => {}
                Some(Damage::One(page)) => wrong.pages.push(together[page]),
                Some(Damage::Several) => {
                    wrong.pages.extend(together);
                    wrong.perhaps.extend(together);
                }
            }
        }
        wrong
    }

    fn what(&self, page: u64) -> &'static str {
        match self.perhaps.contains(&page) {
            false => "the page is not as it was written",
            true => "the page, or others beside it, are not as they were written",
        }
    }
}

fn not_as_written(file: &EmbeddedFile) -> Problem {
    Problem::of(file, "its memory is not what the manifest's hash says")
}

/// Says which pages are wrong; whether there are any.
fn tell(
    converted: &Converted<'_>,
    wrong: &Wrong,
    damaged: &[&EmbeddedFile],
    pages_are_right: bool,
    problems: &mut Problems,
) -> bool {
    let front = build_id::front(&converted.elf).unwrap_or_default();
    let code = converted.elf.header().e_entry;
    let code = converted.elf.loads().find(|load| load.p_vaddr == code).map(|load| load.p_offset);
    let mut some = Few::default();
    for &page in wrong.pages.iter().filter(|page| front.contains(page)) {
        let part = match page {
            0 => Part::Headers,
            _ if code.is_some_and(|code| page >= code) => Part::Starter,
            _ => Part::Tables,
        };
        let problem = if pages_are_right {
            Problem::new(Part::Manifest, CHECKSUM_WRONG)
        } else {
            Problem::new(part, wrong.what(page))
        };
        some.add(problem.at(page), problems);
    }
    some.end(problems);
    for (file, memory) in places::all(&converted.manifest) {
        let Some(start) = memory.stored_at else { continue };
        let first = wrong.pages.partition_point(|&page| page < start);
        let own = wrong.pages[first..].iter().take_while(|&&page| page - start < memory.size);
        for &page in own {
            let is_right = match file {
                Some(file) => !damaged.iter().any(|it| std::ptr::eq(*it, file)),
                None => pages_are_right,
            };
            let problem = match file {
                _ if is_right => Problem::new(Part::Manifest, CHECKSUM_WRONG),
                Some(file) => Problem::of(file, wrong.what(page)),
                None => Problem::new(Part::Memory, wrong.what(page)),
            };
            let (prot, address) =
                (Some(memory.prot.clone()), Some(memory.address.wrapping_add(page - start)));
            some.add(Problem { prot, address, ..problem }.at(page), problems);
        }
        some.end(problems);
    }
    !wrong.pages.is_empty()
}

const CHECKSUM_WRONG: &str = "the sums of this page and others, behind the manifest, are damaged";

/// A few problems alike, and how many there are more.
#[derive(Default)]
struct Few {
    last: Option<Problem>,
    count: usize,
}

impl Few {
    fn add(&mut self, problem: Problem, problems: &mut Problems) {
        self.count += 1;
        if self.count <= MOST_PAGES {
            problems.push(problem.clone());
        }
        self.last = Some(problem);
    }

    fn end(&mut self, problems: &mut Problems) {
        let more = std::mem::take(&mut self.count).saturating_sub(MOST_PAGES);
        if let Some(last) = self.last.take().filter(|_| more > 0) {
            let what = format!("and {more} pages more, this one the last");
            problems.push(Problem { what, ..last });
        }
    }
}

/// BLAKE3 of what the output holds of a file, in hexadecimal.
pub fn stored_hash(converted: &Converted<'_>, file: &EmbeddedFile) -> Option<String> {
    let mut hash = blake3::Hasher::new();
    for memory in &file.memory {
        if let Some(start) = memory.stored_at {
            hash.update(converted.part(start..start.checked_add(memory.size)?)?);
        }
    }
    Some(hex(hash.finalize().as_bytes()))
}

/// What is there of the program that is not loaded.
fn check_unloaded(converted: &Converted<'_>, problems: &mut Problems) {
    let len = converted.bytes().len() as u64;
    let Some(places) = converted.manifest.unloaded_at(len) else {
        let what =
            "what it says to be there and not loaded is beyond the file's end, or there twice";
        return problems.add(Part::Manifest, what);
    };
    let pairs: Vec<_> = converted.manifest.unloaded.iter().zip(places).collect();
    let is_wrong = |(part, place): &&(&Unloaded, Range<u64>)| {
        let bytes = converted.part(place.clone()).unwrap_or_default();
        hex(blake3::hash(bytes).as_bytes()) != part.blake3
    };
    for (_, place) in pairs.par_iter().filter(is_wrong).collect::<Vec<_>>() {
        let name = names_in(converted, place);
        let what = format!("{name} is not as it was written ({} bytes)", place.end - place.start);
        problems.push(Problem::new(Part::Unloaded, what).at(place.start));
    }
}

/// What of the program lies at these file offsets.
fn names_in(converted: &Converted<'_>, place: &Range<u64>) -> String {
    let elf = &converted.elf;
    let sections = elf.sections();
    let within = sections.iter().filter(|section| {
        place.contains(&section.sh_offset) && !matches!(section.sh_type, SHT_NULL | SHT_NOBITS)
    });
    let names = within.filter_map(|section| elf.section_name(&sections, section));
    let names: Vec<_> = names.take(MOST_NAMES).map(String::from_utf8_lossy).collect();
    if names.is_empty() { "what no header accounts for".into() } else { names.join(" ") }
}

/// What is neither headers, starter, memory, notes nor the program's is zero, and the file ends with
/// something.
fn check_padding(
    converted: &Converted<'_>,
    notes: Range<u64>,
    extents: &[Range<u64>],
    problems: &mut Problems,
) {
    let len = converted.bytes().len() as u64;
    let Some(mut used) = converted.manifest.stored() else { return };
    let Some(unloaded) = converted.manifest.unloaded_at(len) else { return };
    used.extend(build_id::front(&converted.elf));
    used.push(notes);
    let (table, size) = converted.elf.section_table();
    used.extend((size > 0).then(|| table..table.saturating_add(size)));
    used.extend(unloaded);
    let end = used.iter().map(|range| range.end).max().unwrap_or(0);
    if len > end {
        let problem =
            Problem::new(Part::Padding, format!("{} bytes behind the file's end", len - end));
        problems.push(problem.at(end));
    }
    used.sort_unstable_by_key(|range| range.start);
    if let Some(pair) = used.windows(2).find(|pair| pair[0].end > pair[1].start) {
        let problem =
            Problem::new(Part::Manifest, "it, or a header, says that two things are here");
        problems.push(problem.at(pair[1].start));
    }
    let mut at = 0;
    for range in used {
        let gap = at..range.start.min(end);
        let first = extents.partition_point(|extent| extent.end <= gap.start);
        for extent in extents[first..].iter().take_while(|extent| extent.start < gap.end) {
            let part = extent.start.max(gap.start)..extent.end.min(gap.end);
            let bytes = converted.part(part.clone()).unwrap_or_default();
            if let Some(other) = bytes.iter().position(|&byte| byte != 0) {
                let page = (part.start + other as u64) / PAGE * PAGE;
                problems.push(Problem::new(Part::Padding, "it is not zero").at(page));
            }
        }
        at = at.max(range.end);
    }
}
