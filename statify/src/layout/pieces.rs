//! The memory cut by what happens to it: permissions while the starter works and afterwards.

use std::collections::BTreeSet;
use std::ops::Range;

use goblin::elf::program_header::PT_GNU_RELRO;
use statify_elf::{ElfFile, PROT_EXEC, PROT_READ, PROT_WRITE, page_down, page_up};

use super::constants::Constants;
use crate::capture::{LOADER, PROGRAM};
use crate::classify::Image;
use crate::place::Place;

/// The most constants that are mapped writable for a moment, in bytes.
const MOST_CONSTANTS: u64 = 1 << 20;
const MOST_APART: u64 = 64 << 10;

/// A run of pages of one module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it lies.
    pub range: Range<Place>,
    /// PROT_* as it is mapped: writable where the starter patches.
    pub load_prot: u32,
    /// PROT_* when the program runs.
    pub prot: u32,
    /// The module, by index.
    pub module: usize,
    /// Never changes again: to be sealed.
    pub seal: bool,
    /// Code in which branches may lead to marked instructions only (PROT_BTI), where the CPU heeds marks.
    pub guarded: bool,
}

/// Cuts the image's regions; `patched` are the pages that the starter writes to. With `apart`, what it does not write to stays
/// apart from these.
pub fn cut(image: &Image, patched: &BTreeSet<Place>, apart: bool) -> Vec<Piece> {
    let bound = bound_slots(image);
    let relro = program_relro(image);
    let guarded = guarded_modules(image);
    let mut pieces = Vec::new();
    for region in &image.regions {
        let mut prots = vec![(region.range.clone(), region.prot)];
        for slots in &bound {
            prots = prots.into_iter().flat_map(|(range, prot)| split(range, prot, slots)).collect();
        }
        let prots = prots.into_iter().flat_map(|(range, prot)| {
            cut_at(range, &relro).into_iter().map(move |range| (range, prot))
        });
        let is_loader = image.modules[region.module].object == Some(LOADER);
        for (range, prot) in prots {
            let is_patched = patched.range(range.clone()).next().is_some();
            let load_prot = if is_patched { PROT_READ | PROT_WRITE } else { prot };
            // If the loader itself makes a page of its RELRO writable again, that one page cannot
            // be told from the others.
            let is_rewritten = is_loader && is_patched && image.c_library.rewrites_constants();
            // A program may give back constants that it needs no more, or make them inaccessible.
            // Code and what the loader had relocated are another matter.
            let is_programs = image.modules[region.module].object == Some(PROGRAM);
            let is_relocated = is_patched
                || region.prot & PROT_WRITE != 0
                || relro.start < range.end && range.start < relro.end;
            let is_plain = is_programs && prot == PROT_READ && !is_relocated;
            let seal = prot & PROT_WRITE == 0 && prot != 0 && !is_rewritten && !is_plain;
            let module = region.module;
            let guarded = prot & PROT_EXEC != 0 && guarded.contains(&module);
            pieces.push(Piece { range, load_prot, prot, module, seal, guarded });
        }
    }
    join_constants(&mut pieces, if apart { MOST_APART } else { MOST_CONSTANTS });
    pieces
}

/// Constants in front of patched ones (.rodata, then RELRO) are mapped with them, and made
/// read-only with them: one mapping fewer for each module, about 2.5 us at each start. Only small
/// ones: the pages count as private memory, and fork copies the page tables of such.
fn join_constants(pieces: &mut [Piece], most: u64) {
    for i in 1..pieces.len() {
        let (before, after) = pieces.split_at_mut(i);
        let (constants, patched) = (&mut before[i - 1], &after[0]);
        let joins = constants.prot == PROT_READ
            && constants.load_prot == PROT_READ
            && (patched.prot, patched.load_prot) == (PROT_READ, PROT_READ | PROT_WRITE)
            && constants.module == patched.module
            && constants.range.end == patched.range.start
            && constants.range.end - constants.range.start <= most;
        if joins {
            constants.load_prot = PROT_READ | PROT_WRITE;
        }
    }
}

/// The pages that the starter writes to.
pub fn patched_pages(image: &Image, constants: &Constants) -> BTreeSet<Place> {
    let words = image.slides.iter().map(|slide| slide.at);
    let last = image.machine().word() - 1;
    let unaligned =
        image.unaligned_slides.iter().flat_map(move |slide| [slide.at, slide.at + last]);
    let fixups = image.fixups.iter().map(|fixup| fixup.at);
    let cpu = image.cpu.words().chain(image.cpu.written.iter().copied());
    let tunables = image
        .variables
        .tunables()
        .into_iter()
        .flat_map(|tunables| tunables.written.iter().copied());
    let all = words.chain(unaligned).chain(fixups).chain(cpu).chain(tunables);
    let mut pages: Vec<Place> = all.map(Place::page).collect();
    // Most neighbours are in the same page.
    pages.dedup();
    pages.extend(constants.keys());
    pages.into_iter().collect()
}

/// Pages that hold nothing but slots that lazy binding would write to.
fn bound_slots(image: &Image) -> Vec<Range<Place>> {
    if !image.bound {
        return Vec::new();
    }
    let slots = image.modules.iter().filter_map(|module| {
        let object = module.object.filter(|object| !image.plugins.contains(object))?;
        let elf = ElfFile::parse(&image.objects[object].bytes).ok()?;
        let slots = elf.dynamic().ok()??.jump_slots()?;
        let first = elf.span()?.start;
        let place = |address: u64| module.range.start.wrapping_add(address.wrapping_sub(first));
        let range = page_up(slots.start)..page_down(slots.end);
        (range.start < range.end).then(|| place(range.start)..place(range.end))
    });
    slots.collect()
}

/// The modules whose code a loader guards that heeds marks: all of it bears them.
fn guarded_modules(image: &Image) -> BTreeSet<usize> {
    let has_marks = |object: usize| {
        let elf = ElfFile::parse(&image.objects[object].bytes).ok();
        elf.and_then(|elf| elf.branch_protection()).is_some_and(|protection| protection.bti)
    };
    let heeds = image.c_library.heeds_branch_marks();
    let modules = image.modules.iter().enumerate().filter(|_| heeds);
    modules.filter(|(_, m)| m.object.is_some_and(has_marks)).map(|(index, _)| index).collect()
}

/// The pages of the program that its loader makes read-only when they are relocated.
fn program_relro(image: &Image) -> Range<Place> {
    let find = || {
        let module = image.module_of(PROGRAM)?;
        let elf = ElfFile::parse(&image.program()?.bytes).ok()?;
        let relro = elf.of_type(PT_GNU_RELRO).next()?;
        let first = page_down(elf.span()?.start);
        let place = |address: u64| module.range.start.wrapping_add(address.wrapping_sub(first));
        let end = page_down(relro.p_vaddr.saturating_add(relro.p_memsz));
        Some(place(page_down(relro.p_vaddr))..place(end))
    };
    find().unwrap_or_default()
}

/// `range` in pieces that are wholly inside or outside of `other`.
fn cut_at(range: Range<Place>, other: &Range<Place>) -> Vec<Range<Place>> {
    let start = other.start.clamp(range.start, range.end);
    let end = other.end.clamp(start, range.end);
    let pieces = [range.start..start, start..end, end..range.end];
    pieces.into_iter().filter(|piece| !piece.is_empty()).collect()
}

/// Cuts `range` at `slots`, which become read-only where they were writable.
fn split(range: Range<Place>, prot: u32, slots: &Range<Place>) -> Vec<(Range<Place>, u32)> {
    let start = slots.start.clamp(range.start, range.end);
    let end = slots.end.clamp(start, range.end);
    if start == end || prot & PROT_WRITE == 0 {
        return vec![(range, prot)];
    }
    [(range.start..start, prot), (start..end, prot & !PROT_WRITE), (end..range.end, prot)]
        .into_iter()
        .filter(|(range, _)| !range.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use statify_elf::PAGE;

    #[test]
    fn slots_become_read_only_where_they_were_writable() {
        let page = |n: u64| Place::new(n * PAGE);
        let both = PROT_READ | PROT_WRITE;
        assert_eq!(
            split(page(0)..page(4), both, &(page(1)..page(3))),
            [(page(0)..page(1), both), (page(1)..page(3), PROT_READ), (page(3)..page(4), both)]
        );
        assert_eq!(
            split(page(2)..page(4), both, &(page(1)..page(3))),
            [(page(2)..page(3), PROT_READ), (page(3)..page(4), both)]
        );
        assert_eq!(split(page(0)..page(1), both, &(page(1)..page(3))), [(page(0)..page(1), both)]);
        assert_eq!(
            split(page(1)..page(2), PROT_READ, &(page(1)..page(3))),
            [(page(1)..page(2), PROT_READ)]
        );
    }
}
