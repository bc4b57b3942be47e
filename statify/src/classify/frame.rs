//! Places: addresses of one capture, freed from where its block happened to lie.

use std::ops::Range;

use statify_elf::PROT_READ;
use statify_params::ABSOLUTE;

use super::memory::{Module, Region};
use crate::capture::{Capture, PROGRAM};
use crate::place::Place;

/// A region's first byte and the first behind it, its PROT_*, and its file with the offset in it.
type Mapped = (Place, Place, u32, Option<(usize, u64)>);

/// A capture's block.
#[derive(Clone, Debug)]
pub struct Frame {
    base: u64,
    /// The addresses that belong to the block.
    block: Range<u64>,
    /// Those of a program that is not position-independent.
    absolute: Range<u64>,
    /// The groups: where each begins in the capture, and the place that this is. Ascending in both.
    groups: Vec<(u64, Place)>,
}

impl Frame {
    /// The frame of a capture; where nothing slides, places are addresses.
    pub fn new(capture: &Capture, fixed: bool) -> Self {
        if fixed {
            return Self { base: 0, block: 0..ABSOLUTE, absolute: 0..0, groups: Vec::new() };
        }
        let base = capture.block.start;
        let groups =
            capture.groups.iter().map(|&start| (start, Place::new(start - base))).collect();
        let absolute = capture.fixed_program.then(|| capture.objects[PROGRAM].range.clone());
        let absolute = absolute.unwrap_or_default();
        Self { base, block: capture.block.clone(), absolute, groups }
    }

    /// The frame of a capture whose groups are those of this frame's, further apart.
    pub fn of_further(&self, capture: &Capture) -> Self {
        if self.groups.is_empty() {
            return self.clone();
        }
        let starts = capture.groups.iter().copied();
        Self {
            base: capture.block.start,
            block: capture.block.clone(),
            absolute: self.absolute.clone(),
            groups: starts.zip(self.groups.iter().map(|group| group.1)).collect(),
        }
    }

    /// The place of an address. What is not in the program's fixed range counts from the block,
    /// even outside of it: biased pointers do.
    pub fn place(&self, address: u64) -> Place {
        if self.absolute.contains(&address) {
            Place::new(address | ABSOLUTE)
        } else if self.block.start <= address && address <= self.block.end {
            let next = self.groups.partition_point(|group| group.0 <= address);
            match next.checked_sub(1).and_then(|group| self.groups.get(group)) {
                Some((start, place)) => *place + (address - start),
                None => Place::new(address - self.base),
            }
        } else if address < self.block.start {
            Place::new(address | ABSOLUTE)
        } else {
            Place::new(address.wrapping_sub(self.base))
        }
    }

    /// The address of a place.
    pub fn address(&self, place: Place) -> u64 {
        if place.is_absolute() {
            return place.address();
        }
        match self.group(place).and_then(|group| self.groups.get(group)) {
            Some((start, first)) => start + (place - *first),
            None => place.value() + self.base,
        }
    }

    /// The group that a place belongs to; none where nothing slides, nor what does not.
    pub fn group(&self, place: Place) -> Option<usize> {
        let next = self.groups.partition_point(|group| group.1 <= place);
        next.checked_sub(1).filter(|_| !place.is_absolute())
    }

    /// By how much more an address of each group is in another frame of the same groups.
    pub fn slides(&self, other: &Self) -> Vec<u64> {
        let slide = |(own, other): (&(u64, Place), &(u64, Place))| other.0.wrapping_sub(own.0);
        self.groups.iter().zip(&other.groups).map(slide).collect()
    }

    fn range(&self, range: &Range<u64>) -> Range<Place> {
        let start = self.place(range.start);
        start..start + (range.end - range.start)
    }

    fn module(&self, object: Option<usize>, range: Range<Place>) -> Module {
        Module { object, group: self.group(range.start), range }
    }

    /// The modules of a capture: its objects, and the runs of memory that are in none.
    pub fn modules(&self, capture: &Capture) -> Vec<Module> {
        let mut modules: Vec<Module> = capture
            .objects
            .iter()
            .enumerate()
            .map(|(index, object)| self.module(Some(index), self.range(&object.range)))
            .collect();
        let objects = modules.len();
        for region in &capture.regions {
            let range = self.range(&region.range);
            if modules[..objects].iter().any(|module| module.range.contains(&range.start)) {
                continue;
            }
            match modules[objects..].last_mut() {
                Some(last)
                    if last.range.end == range.start && last.group == self.group(range.start) =>
                {
                    last.range.end = range.end;
                }
                _ => modules.push(self.module(None, range)),
            }
        }
        modules.sort_by_key(|module| module.range.start);
        modules
    }

    /// What is mapped in a capture, by place. Of addresses a program that does not slide may be before a block or behind it.
    fn shape(&self, capture: &Capture) -> Vec<Mapped> {
        let mapped = |region: &crate::capture::Region| {
            let Range { start, end } = self.range(&region.range);
            (start, end, region.prot, region.file)
        };
        let mut shape: Vec<Mapped> = capture.regions.iter().map(mapped).collect();
        shape.sort_unstable();
        shape
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
                let read = if region.prot != 0 { PROT_READ } else { 0 };
                Region { range, prot: region.prot | read, file: region.file, module }
            })
            .collect();
        regions.sort_by_key(|region| region.range.start);
        regions
    }
}

/// The module that a pointer at `at` with the value `value` is stored relative to: one of the
/// group that it slides with. Among these any choice gives the right address; this one keeps a
/// module's pages free of its neighbours.
pub fn attribute(modules: &[Module], group: usize, at: Place, value: Place) -> Option<usize> {
    let slides = |index: &usize| modules[*index].group == Some(group);
    let own = module_at(modules, at).filter(slides);
    let ends_here = |index: &usize| {
        let range = &modules[*index].range;
        range.start <= value && value <= range.end
    };
    let meant = || module_at(modules, value).filter(slides);
    // What lies outside of all is biased (glibc's l_gnu_chain_zero, a symbol with an addend).
    let any = || (0..modules.len()).find(slides);
    own.filter(ends_here).or_else(meant).or(own).or_else(any)
}

/// The module that contains a place; the modules are sorted.
pub fn module_at(modules: &[Module], place: Place) -> Option<usize> {
    let index = modules.partition_point(|module| module.range.start <= place).checked_sub(1)?;
    modules[index].range.contains(&place).then_some(index)
}

/// Whether two captures have the same mappings, places apart.
pub fn same_shape(a: &Capture, frame_a: &Frame, b: &Capture, frame_b: &Frame) -> bool {
    a.objects.len() == b.objects.len()
        && a.objects.iter().zip(&b.objects).all(|(a, b)| a.id == b.id)
        && frame_a.shape(a) == frame_b.shape(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_attributed_to_what_they_point_into() {
        let module = |start, end, group| Module {
            object: Some(1),
            group,
            range: Place::new(start)..Place::new(end),
        };
        let modules = [
            module(0, 0x1000, Some(0)),
            module(0x1000, 0x3000, Some(1)),
            module(0x3000, 0x4000, Some(1)),
            module(0x8000, 0x9000, Some(2)),
            module(ABSOLUTE | 0x40_0000, ABSOLUTE | 0x40_1000, None),
        ];
        for (group, at, value, target) in [
            (0, 0x10, 0x20, Some(0)),     // into itself
            (0, 0x10, 0x1000, Some(0)),   // its own end is not the next one's start
            (1, 0x10, 0x1000, Some(1)),   // the next one's start
            (1, 0x10, 0x3008, Some(2)),   // into another module of the group
            (1, 0x10, 0x5000, Some(1)),   // into nothing: any of the group
            (1, 0x3010, 0x5000, Some(2)), // into nothing: its own
            (2, 0x10, 0x3008, Some(3)),   // biased by so much that it leads elsewhere
            (0, ABSOLUTE | 0x40_0010, 0x7000, Some(0)),
            (3, 0x10, 0x20, None),
        ] {
            let found = attribute(&modules, group, Place::new(at), Place::new(value));
            assert_eq!(found, target, "{group} {at:#x} {value:#x}");
        }
    }

    #[test]
    fn places_are_the_same_however_far_groups_lie_apart() {
        let frame = |base, groups: &[(u64, u64)]| Frame {
            base,
            block: base..base + 0x10_0000,
            absolute: 0..0,
            groups: groups.iter().map(|&(start, place)| (start, Place::new(place))).collect(),
        };
        let near = frame(0x10_0000, &[(0x10_0000, 0), (0x10_3000, 0x3000)]);
        let far = frame(0x90_0000, &[(0x90_0000, 0), (0x98_0000, 0x3000)]);
        for (address, other, group) in
            [(0x10_0000, 0x90_0000, 0), (0x10_2fff, 0x90_2fff, 0), (0x10_3010, 0x98_0010, 1)]
        {
            let place = near.place(address);
            assert_eq!(far.place(other), place);
            assert_eq!((near.address(place), far.address(place)), (address, other));
            assert_eq!(near.group(place), Some(group));
        }
        assert_eq!(near.slides(&far), [0x80_0000, 0x87_d000]);
    }
}
