//! From an image to a plan of the output: which pieces of memory the kernel maps from program
//! headers, which the starter puts in place, where each lies in the file, and the starter's tables.
//!
//! [`constants`] takes words out of the memory, [`pieces`] cuts it by permissions, [`large_pages`] says how large pages may be,
//! [`segments`] decides what is in the file, [`offsets`] where there, [`placement`] says who maps what and where it lies, [`pooled`] what may come from the pool, [`tables`]
//! builds the parameter block.

mod constants;
mod large_pages;
mod offsets;
mod pieces;
mod placement;
mod pooled;
mod segments;
mod tables;

use std::ops::Range;

use statify_elf::{ElfFile, PAGE, page_up};
use statify_format::Shape;

use crate::capture::PROGRAM;
use crate::classify::Image;
use crate::place::OutPlace;
use placement::Addresses;

pub use pieces::Piece;
pub use placement::{Load, OTHER_HEADERS};
pub use pooled::{FEWEST_POOLED_PAGES, PoolRequest};
pub use segments::Segment;

/// A file to be written.
pub struct Plan {
    /// The PT_LOADs, ascending by address: the program's, then the front's.
    pub loads: Vec<Load>,
    /// Parameter block and starter, from file offset `front_offset` on.
    pub front: Vec<u8>,
    /// Where the front's bytes begin in the file: behind the headers.
    pub front_offset: u64,
    /// The entry point: the starter's first byte.
    pub entry: OutPlace,
    /// Memory that comes from the file, and where it lies there.
    pub segments: Vec<Segment>,
    /// Room in the file for what is not loaded and the output's own; empty if there is to be none.
    pub room: Range<u64>,
    /// The first byte behind everything that is loaded, or kept free.
    pub end: u64,
    /// The objects of which pages are mapped from the pool, by index; in the order of the starter's table.
    pub pooled: Vec<usize>,
    /// Pages of the file that nothing of the plan takes, of those that were wanted.
    pub kept: Vec<Range<u64>>,
    /// The largest size of pages that it is laid out for, in bytes.
    pub largest_page: u64,
    /// ET_EXEC rather than ET_DYN.
    pub fixed: bool,
    /// PF_X on PT_GNU_STACK.
    pub executable_stack: bool,
    /// Mappings that the starter makes.
    pub mapped: usize,
    /// Where each module lies in the output.
    pub modules: Vec<Range<OutPlace>>,
    /// The memory by what happens to it; ascending as the image's regions are.
    pub pieces: Vec<Piece>,
}

/// Size of an ELF header and of the most program headers that every kernel takes: 4 KiB in all.
const MOST_HEADERS: u64 = PAGE;

/// Lays the image out; words that the starter writes are taken out of it. `kept` are pages of the file that are wanted for
/// something else; ascending, none touch. `unloaded` are so many bytes that are not loaded and shall lie behind the
/// front with what the output says of itself: none if the file ends with something else. With a `pool`, the starter maps
/// from there what it has.
pub fn lay_out(
    image: &mut Image,
    shape: &Shape,
    pool: Option<PoolRequest<'_>>,
    mut kept: Vec<Range<u64>>,
    unloaded: Option<u64>,
) -> Plan {
    let constants = &constants::take(image);
    let image = &*image;
    let machine = image.machine();
    let starter = starter::image(machine.e_machine()).unwrap_or_default();
    let patched = &pieces::patched_pages(image, constants);
    let mut pieces = pieces::cut(image, patched, pool.is_some());
    let largest_page = large_pages::choose(&pieces, machine.largest_page());
    large_pages::join(&mut pieces, largest_page);
    let mut segments = segments::choose(image, &mut pieces, largest_page);
    // The size of the tables does not depend on where anything is.
    let addresses = &Addresses::choose(image, largest_page, PAGE);
    let placement = &placement::place(image, &segments, addresses);
    let pooled = pool.map_or_else(Vec::new, |_| pooled::objects(placement.in_files()));
    let slides =
        &tables::SlideGroups::new(&image.slides, &image.cpu.resolvers, addresses, machine.word());
    let (pieces, no_spare) = (&pieces[..], 0..0);
    let input = tables::Input {
        image,
        machine,
        starter,
        shape,
        largest_page,
        pieces,
        placement,
        patched,
        constants,
        slides,
        addresses,
        pool: pool.filter(|_| !pooled.is_empty()),
        pooled: &pooled,
        spare: (OutPlace::default(), no_spare),
    };
    let size = tables::size(&input);
    let code_len = page_up(starter.len() as u64);
    let headers = placement::headers(placement, machine.sizes());
    let front_len = page_up(headers + size as u64) + code_len;
    let gap = machine.front_gap();
    let spare = placement::spare_page(front_len, gap);
    let addresses = &Addresses::choose(image, largest_page, spare + PAGE);
    let room = unloaded.map_or(0, |len| page_up(len + offsets::description(image, pieces)));
    let room = front_len..front_len + room;
    kept.retain(|range| range.start >= room.end);
    let end = offsets::assign(image, &mut segments, room.end, shape.align, largest_page, &kept);
    let mut placement = placement::place(image, &segments, addresses);
    placement.loads.extend(placement::front(addresses, front_len, code_len, gap));
    placement.loads.sort_by_key(|load| load.address);
    if let Some(first) = placement.loads.first_mut() {
        first.align = addresses.program_alignment;
    }
    let base = addresses.front;
    let tables_end = base + (front_len - code_len);
    let spare = (base + spare, placement.spare(front_len - PAGE));
    let input = tables::Input { placement: &placement, addresses, spare, ..input };
    let front = tables::build(&input, base, tables_end, headers);
    let modules = image.modules.iter().map(|module| addresses.range(&module.range)).collect();
    Plan {
        loads: placement.loads,
        front,
        front_offset: headers,
        entry: tables_end + gap,
        segments,
        room,
        end,
        pooled: pooled.clone(),
        kept,
        largest_page,
        fixed: image.fixed,
        executable_stack: image.executable_stack,
        mapped: placement.maps.len() + placement.zeros.len(),
        modules,
        pieces: pieces.to_vec(),
    }
}

impl Plan {
    /// What is added to the program's addresses to have those in the output: where its address 0 lies.
    /// Nothing if it is not position-independent.
    pub fn program_bias(&self, image: &Image) -> u64 {
        let program = image.program().and_then(|program| ElfFile::parse(&program.bytes).ok());
        let first = program.and_then(|elf| elf.span());
        let module = image.modules.iter().position(|module| module.object == Some(PROGRAM));
        let start = module.map_or(0, |module| self.modules[module].start.address());
        start.wrapping_sub(first.map_or(0, |span| span.start))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::classify::{Module, PageBytes, Region};
    use crate::place::Place;

    /// An image of anonymous memory: regions of so many pages, with gaps of so many pages before, and
    /// for each page whether it is zero.
    fn image(shape: &[(u64, Vec<bool>, u32)]) -> Image {
        let mut at = 0;
        let (mut regions, mut modules) = (Vec::new(), Vec::new());
        let mut pages = std::collections::BTreeMap::new();
        for (gap, contents, prot) in shape {
            at += gap * PAGE;
            let range = Place::new(at)..Place::new(at + contents.len() as u64 * PAGE);
            for (index, _) in contents.iter().enumerate().filter(|(_, is_data)| **is_data) {
                let page: PageBytes = Box::new([index as u8 | 1; PAGE as usize]);
                pages.insert(range.start + index as u64 * PAGE, page);
            }
            modules.push(Module { object: None, group: Some(0), range: range.clone() });
            let module = modules.len() - 1;
            regions.push(Region { range: range.clone(), prot: *prot, file: None, module });
            at = range.end.value();
        }
        Image {
            c_library: statify_elf::c_library::CLibrary::Glibc,
            objects: Vec::new(),
            modules,
            regions,
            pages,
            slides: Vec::new(),
            unaligned_slides: Vec::new(),
            fixups: Vec::new(),
            calls: Vec::new(),
            thread_stack: (0, 0),
            secure: crate::classify::SecureStart::AsGlibc,
            variables: crate::classify::tunables::Variables::ByLibrary,
            handoff: Place::default(),
            page_size: PAGE,
            page_size_followed: false,
            entry: Place::default(),
            phdr: Place::default(),
            phnum: 0,
            loader_base: Place::default(),
            executable_stack: false,
            bound: true,
            fixed: false,
            cpu: Default::default(),
            identified: Default::default(),
            plugins: 0..0,
            agent: None,
            index: Place::default()..Place::default(),
        }
    }

    proptest! {
        /// Every page that is not zero is mapped from the file, at its own place; nothing overlaps.
        #[test]
        fn layouts_hold_every_page(
            shape in proptest::collection::vec(
                (0u64..3, proptest::collection::vec(any::<bool>(), 1..40), prop_oneof![Just(1u32), Just(3), Just(5), Just(0)]),
                1..90,
            ),
            align in prop_oneof![Just(PAGE), Just(16 * PAGE)],
            wanted in 0u64..60,
        ) {
            let mut image = image(&shape);
            let kept = vec![wanted * PAGE..(wanted + 3) * PAGE, (wanted + 7) * PAGE..(wanted + 8) * PAGE];
            let plan = lay_out(&mut image, &Shape { align, ..Shape::default() }, None, kept, Some(wanted * 40));
            prop_assert!(plan.kept.len() == 2 || wanted * PAGE < plan.room.end);
            for kept in &plan.kept {
                prop_assert!(plan.end >= kept.end);
                let free = |s: &Segment| s.offset >= kept.end || s.offset + s.file_len <= kept.start;
                prop_assert!(plan.segments.iter().filter(|s| s.file_len > 0).all(free));
            }
            prop_assert!(plan.loads.len() <= 70);
            prop_assert!(plan.loads.windows(2).all(|pair| pair[0].address + pair[0].len <= pair[1].address));
            let readable = |place: &Place| image.regions.iter().any(|r| r.range.contains(place) && r.prot != 0);
            for place in image.pages.keys().filter(|place| readable(place)) {
                let holding: Vec<_> = plan.segments.iter().filter(|s| s.file_range().contains(place)).collect();
                prop_assert_eq!(holding.len(), 1);
                prop_assert!(holding[0].offset % PAGE == 0);
            }
            for pair in plan.segments.windows(2) {
                prop_assert!(pair[0].range.end <= pair[1].range.start);
            }
        }
    }
}
