//! Places: addresses of one capture, freed from where its block happened to lie.

use std::ops::Range;

use starter::params::ABSOLUTE;

use super::{Module, Place, Region};
use crate::capture::{Capture, GAP, KernelCall};

/// A capture's block.
#[derive(Clone, Debug)]
pub struct Frame {
    base: u64,
    /// The addresses that belong to the block.
    block: Range<u64>,
}

impl Frame {
    /// The frame of a capture; where nothing slides, places are addresses.
    pub fn new(capture: &Capture, fixed: bool) -> Self {
        if fixed {
            Self { base: 0, block: 0..ABSOLUTE }
        } else {
            Self { base: capture.block.start, block: capture.block.clone() }
        }
    }

    /// The place of an address. What is not in the program's fixed range counts from the block,
    /// even outside of it: biased pointers do.
    pub fn place(&self, address: u64) -> Place {
        if self.block.start <= address && address <= self.block.end {
            address - self.base
        } else if address < self.block.start {
            address | ABSOLUTE
        } else {
            address.wrapping_sub(self.base)
        }
    }

    /// The address of a place.
    pub fn address(&self, place: Place) -> u64 {
        if place & ABSOLUTE != 0 { place & !ABSOLUTE } else { place + self.base }
    }

    fn range(&self, range: &Range<u64>) -> Range<Place> {
        let start = self.place(range.start);
        start..start + (range.end - range.start)
    }

    /// The modules of a capture: its objects, and the runs of memory that are in none.
    pub fn modules(&self, capture: &Capture) -> Vec<Module> {
        let mut modules: Vec<Module> = capture
            .objects
            .iter()
            .enumerate()
            .map(|(index, object)| Module { object: Some(index), range: self.range(&object.range) })
            .collect();
        let objects = modules.len();
        for region in &capture.regions {
            let range = self.range(&region.range);
            if modules[..objects].iter().any(|module| module.range.contains(&range.start)) {
                continue;
            }
            match modules[objects..].last_mut() {
                Some(last) if last.range.end == range.start => last.range.end = range.end,
                _ => modules.push(Module { object: None, range }),
            }
        }
        modules.sort_by_key(|module| module.range.start);
        modules
    }

    /// The regions of a capture.
    pub fn regions(&self, capture: &Capture, modules: &[Module]) -> Vec<Region> {
        let mut regions: Vec<Region> = capture
            .regions
            .iter()
            .map(|region| {
                let range = self.range(&region.range);
                let module = module_at(modules, range.start).unwrap_or(0);
                // x86-64 lets what is executable be read as well, and so must the output.
                let read = if region.prot != 0 { libc::PROT_READ as u32 } else { 0 };
                Region { range, prot: region.prot | read, file: region.file, module }
            })
            .collect();
        regions.sort_by_key(|region| region.range.start);
        regions
    }
}

/// How far behind the program a pointer may lead that still counts from it.
const BEHIND: u64 = GAP / 2;

/// The module that a pointer at `at` with the value `value` is stored relative to. It must be one
/// that slides as what is meant does: the program, or any of the libraries. Among these any choice
/// gives the right address; this one keeps a library's pages free of its neighbours.
pub fn attribute(modules: &[Module], at: Place, value: Place) -> usize {
    let own = module_at(modules, at);
    if let Some(own) = own {
        let range = &modules[own].range;
        if range.start <= value && value <= range.end {
            return own;
        }
    }
    // A module at fixed addresses cannot be slid with.
    let slides = |index: &usize| modules[*index].range.start & ABSOLUTE == 0;
    if let Some(meant) = module_at(modules, value).filter(slides) {
        return meant;
    }
    // What lies outside of all is biased. The program comes first: what lies below the block, or
    // close behind the program, is a bias of the program's.
    let program = modules.iter().position(|module| module.object == Some(0)).filter(slides);
    let library = |index: &usize| slides(index) && Some(*index) != program;
    match program {
        Some(program)
            if value & ABSOLUTE != 0
                || value < modules[program].range.end.saturating_add(BEHIND) =>
        {
            program
        }
        _ => own.filter(library).or_else(|| (0..modules.len()).find(library)).unwrap_or(0),
    }
}

/// The module that contains a place; the modules are sorted.
pub fn module_at(modules: &[Module], place: Place) -> Option<usize> {
    let index = modules.partition_point(|module| module.range.start <= place).checked_sub(1)?;
    modules[index].range.contains(&place).then_some(index)
}

/// Whether two captures have the same mappings, places apart.
pub fn same_shape(a: &Capture, frame_a: &Frame, b: &Capture, frame_b: &Frame) -> bool {
    a.regions.len() == b.regions.len()
        && a.objects.len() == b.objects.len()
        && a.objects.iter().zip(&b.objects).all(|(a, b)| a.id == b.id)
        && a.regions.iter().zip(&b.regions).all(|(a, b)| {
            frame_a.range(&a.range) == frame_b.range(&b.range)
                && a.prot == b.prot
                && a.file == b.file
        })
}

/// The calls to repeat; an argument is a place if it moved with the block.
pub fn calls(a: &Capture, b: &Capture, frame: &Frame) -> Option<Vec<(KernelCall, [bool; 4])>> {
    let slide = b.block.start.wrapping_sub(a.block.start);
    if a.calls.len() != b.calls.len() {
        return None;
    }
    a.calls.iter().zip(&b.calls).map(|(a, b)| moved_arguments(a, b, slide, frame)).collect()
}

fn moved_arguments(
    a: &KernelCall,
    b: &KernelCall,
    slide: u64,
    frame: &Frame,
) -> Option<(KernelCall, [bool; 4])> {
    let mut call = a.clone();
    let mut is_place = [false; 4];
    for ((argument, other), is_place) in call.args.iter_mut().zip(b.args).zip(&mut is_place) {
        if *argument != other {
            *is_place = true;
            if other.wrapping_sub(*argument) != slide {
                return None;
            }
            *argument = frame.place(*argument);
        }
    }
    (a.number == b.number).then_some((call, is_place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_attributed_to_what_they_point_into() {
        let module = |range| Module { object: Some(1), range };
        let modules = [module(0..0x1000), module(0x1000..0x3000), module(0x8000..0x9000)];
        for (at, value, target) in [
            (0x10, 0x20, 0),     // into itself
            (0x10, 0x1000, 0),   // its own end is not the next one's start
            (0x10, 0x1008, 1),   // into the next
            (0x8008, 0x5000, 2), // into nothing: biased
            (0x8008, 0x1000, 1),
        ] {
            assert_eq!(attribute(&modules, at, value), target, "{at:#x} {value:#x}");
        }
        let program = Module { object: Some(0), range: 0..0x1000 };
        let apart = [program, module(GAP..GAP + 0x2000), module(GAP + 0x2000..GAP + 0x3000)];
        for (at, value, target) in [
            (GAP + 0x2008, 0x20, 0),
            (GAP + 0x2008, 0x1000, 0),            // its end
            (GAP + 0x2008, ABSOLUTE | 0x7000, 0), // below the block: of the first
            (GAP + 0x2008, GAP - 0x1000, 2),      // below the libraries: of one of them
            (0x10, GAP - 0x1000, 1),
            (0x10, GAP + 0x2010, 2),
        ] {
            assert_eq!(attribute(&apart, at, value), target, "{at:#x} {value:#x}");
        }
        let fixed = [module(0..0x1000), module(ABSOLUTE | 0x40_0000..ABSOLUTE | 0x40_1000)];
        assert_eq!(attribute(&fixed, ABSOLUTE | 0x40_0010, 0x7000), 0);
    }
}
