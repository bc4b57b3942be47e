//! Where the libraries of a running converted program lie: they slide by a distance of their own, which
//! stands nowhere but in the pointers to them. One of the program's is told here, from which a debugger
//! can take the distance.

use starter::params::ABSOLUTE;
use statify::elf::ElfFile;
use statify::manifest::{FileKind, Manifest, Memory};
use statify::parameters::Parameters;

/// A word of the program that points into the libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Where it lies: a virtual address of the output, or an absolute address.
    pub at: u64,
    /// It is an absolute one.
    pub absolute: bool,
    /// What it would hold if the libraries lay at their virtual addresses.
    pub value: u64,
}

impl Anchor {
    /// One that does not change once the program runs, if there is such. `None` where no libraries
    /// slide by themselves.
    pub fn find(output: &[u8], elf: &ElfFile<'_>, manifest: &Manifest) -> Option<Self> {
        let parameters = Parameters::read(elf).ok()?;
        let first = parameters.params.libraries;
        let is_library = |place: u64| place & ABSOLUTE == 0 && place >= first;
        let chosen: Vec<u64> = parameters
            .resolvers()
            .filter_map(|resolver| {
                let (start, stream, count) = (resolver.start, resolver.stream, resolver.count);
                parameters.words(start, stream, count, "IFUNC resolvers").ok()
            })
            .flatten()
            .collect();
        let program = manifest.files.iter().find(|file| file.kind == FileKind::Program)?;
        let mut found = None;
        for slide in parameters.slides().filter(|slide| is_library(slide.target)) {
            if is_library(slide.start) {
                continue;
            }
            let words =
                parameters.words(slide.start, slide.stream, slide.count, "pointers").ok()?;
            for place in words.into_iter().filter(|place| !chosen.contains(place)) {
                let at = place & !ABSOLUTE;
                let holds = |memory: &&Memory| {
                    at.checked_sub(memory.address).is_some_and(|into| into < memory.size)
                };
                let Some(memory) = program.memory.iter().find(holds) else { continue };
                let Some(stored) = memory.stored_at.and_then(|start| {
                    let start = usize::try_from(start + (at - memory.address)).ok()?;
                    Some(u64::from_le_bytes(*output.get(start..)?.first_chunk()?))
                }) else {
                    continue;
                };
                let value = stored.wrapping_add(slide.target);
                let anchor = Self { at, absolute: place & ABSOLUTE != 0, value };
                if !memory.prot.contains('w') {
                    return Some(anchor);
                }
                found.get_or_insert(anchor);
            }
        }
        found
    }
}
