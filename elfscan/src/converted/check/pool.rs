//! What the starter is told of the pool, held against the manifest and the memory that it makes.
//!
//! That the starter writes to no page from there needs no question of its own: such pages are not writable, and no word may lie
//! in one that is not.

use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use statify_elf::{PAGE, PROT_WRITE, page_up};
use statify_format::manifest::{EmbeddedFile, FileKind, Manifest, Memory, hex};
use statify_format::parameters::Parameters;
use statify_params::{Map, PoolFile};

use super::problem::{Part, Problem, Problems};
use crate::converted::memory;
use crate::converted::open::Converted;
use crate::converted::places::Places;

/// The longest name of a directory, in bytes (linux/limits.h).
const NAME_MAX: usize = 255;

/// Checks it.
pub fn check(
    converted: &Converted<'_>,
    parameters: &Parameters<'_>,
    places: &Places,
    memory: &memory::Memory,
    problems: &mut Problems,
) {
    let manifest = &converted.manifest;
    let files: Vec<PoolFile> = parameters.pool_files().collect();
    let names: Vec<&[u8]> = parameters.pool().collect();
    match &manifest.options.pool {
        Some(path) => {
            problems.expect(
                names.iter().all(|name| is_sound(name)),
                Part::Tables,
                "a name that leads to the pool is none of a directory",
            );
            problems.expect(
                leads_to(&names, path),
                Part::Tables,
                "the pool's directory is not the manifest's",
            );
        }
        None => problems.expect(
            names.is_empty() && files.is_empty(),
            Part::Tables,
            "it has a pool that the manifest does not name",
        ),
    }
    check_files(manifest, &files, problems);
    let mut end = 0;
    for map in parameters.maps().filter(|map| map.pool_file != 0) {
        let place = places.normal(map.to);
        let what = match place.checked_add(map.len) {
            // Otherwise what overlaps could be looked at for ever.
            Some(map_end) if place >= end => {
                end = map_end;
                fault(manifest, &files, places, memory, &map)
            }
            _ => Some("pages from the pool overlap, or are out of order"),
        };
        if let Some(what) = what {
            problems.push(Problem { address: Some(place), ..Problem::new(Part::Tables, what) });
        }
    }
}

/// Whether a directory in another one can have this name.
fn is_sound(name: &[u8]) -> bool {
    let is_name = !name.is_empty() && name.len() <= NAME_MAX && !name.contains(&b'/');
    is_name && name != b"." && name != b".."
}

/// Whether these names, one after the other, are the components of a path of the manifest's, in which replacement characters
/// stand for what is no UTF-8.
fn leads_to(names: &[&[u8]], path: &Path) -> bool {
    let joined = names.iter().flat_map(|name| [b"/", *name].concat()).collect::<Vec<u8>>();
    let joined = String::from_utf8_lossy(if names.is_empty() { b"/" } else { &joined });
    joined.as_bytes() == path.as_os_str().as_bytes()
}

/// Each file of the pool must be an embedded one, and those that the manifest says to be there must be listed.
fn check_files(manifest: &Manifest, files: &[PoolFile], problems: &mut Problems) {
    let mut embedded: HashMap<&str, &EmbeddedFile> = HashMap::new();
    for file in &manifest.files {
        let known = embedded.entry(&file.sha256).or_insert(file);
        if file.pooled.is_some() {
            *known = file;
        }
    }
    let mut listed = HashSet::new();
    for record in files {
        let name = hex(&record.sha256);
        let problem = match embedded.get(&*name) {
            None => Some(Problem::new(
                Part::Tables,
                format!("the pool's file {name} is no embedded file"),
            )),
            Some(file) => {
                let same = (file.size, file.pooled.as_ref());
                let is_same = same == (record.len, Some(&hex(&record.verity)));
                let what = "its length or its fs-verity digest in the pool are not the manifest's";
                (!is_same).then(|| Problem::of(file, what))
            }
        };
        problem.into_iter().for_each(|problem| problems.push(problem));
        listed.insert(name);
    }
    for file in manifest.files.iter().filter(|file| file.pooled.is_some()) {
        let what = match file.kind {
            FileKind::Program => "the program is said to be in the pool",
            _ if listed.contains(&file.sha256) => continue,
            _ => "the manifest says that it is in the pool, and the starter does not look for it",
        };
        problems.push(Problem { part: Part::Manifest, ..Problem::of(file, what) });
    }
}

/// What is wrong with pages from the pool.
fn fault(
    manifest: &Manifest,
    files: &[PoolFile],
    places: &Places,
    memory: &memory::Memory,
    map: &Map,
) -> Option<&'static str> {
    let number = usize::from(map.pool_file);
    let Some(record) = number.checked_sub(1).and_then(|index| files.get(index)) else {
        return Some("pages are of a file of the pool that there is not");
    };
    let place = places.normal(map.to);
    let offset = u64::from(map.pool_page) * PAGE;
    let Some(end) = offset.checked_add(map.len).filter(|end| *end <= page_up(record.len)) else {
        return Some("pages from the pool are of behind the library's end");
    };
    let file = places.file_at(place).and_then(|index| manifest.files.get(index));
    let file = file.filter(|file| file.pooled.is_some() && file.kind != FileKind::Program);
    let Some(file) = file.filter(|file| file.sha256 == hex(&record.sha256)) else {
        return Some("pages from the pool are not the library's that belongs there");
    };
    if !is_from(
        &file.memory,
        |memory| places.of_memory(Some(file), memory).start,
        place,
        offset..end,
    ) {
        return Some("pages from the pool are not those that the manifest has there");
    }
    let is_constant = memory.patching.all(place..place + map.len, |it| it.prot & PROT_WRITE == 0);
    (!is_constant).then_some("pages from the pool are writable while the starter works")
}

/// Whether a file's memory has from `place` on what its file has at these offsets.
fn is_from(
    memory: &[Memory],
    start_of: impl Fn(&Memory) -> u64,
    place: u64,
    offsets: std::ops::Range<u64>,
) -> bool {
    let end = place.saturating_add(offsets.end - offsets.start);
    let mut at = place;
    let first = memory.partition_point(|piece| start_of(piece).saturating_add(piece.size) <= place);
    for piece in &memory[first..] {
        let start = start_of(piece);
        if at >= end {
            break;
        }
        let expected = offsets.start.checked_add(at - place);
        let found = piece.file_offset.zip(at.checked_sub(start));
        let found = found.and_then(|(offset, into)| offset.checked_add(into));
        if found.is_none() || found != expected || piece.size == 0 {
            return false;
        }
        at = start.saturating_add(piece.size);
    }
    at >= end
}
