//! From an image to a plan of the output: which pieces of memory the kernel maps from program
//! headers, which the starter puts in place, where each lies in the file, and the starter's tables.
//!
//! [`pieces`] cuts the memory by permissions, [`segments`] decides what is in the file,
//! [`placement`] says who maps what and where it lies, [`tables`] builds the parameter block.

mod constants;
mod pieces;
mod placement;
mod segments;
mod stream;
mod tables;

use std::ops::Range;

use starter::params::ABSOLUTE;

use crate::classify::{Image, Place};
use crate::elf::{ElfFile, PAGE, page_up};
use crate::shape::Shape;

pub use pieces::Piece;
use placement::Addresses;
pub use placement::Load;
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
    pub entry: u64,
    /// Memory that comes from the file, and where it lies there.
    pub segments: Vec<Segment>,
    /// The first byte behind everything that is loaded, or kept free.
    pub end: u64,
    /// Pages of the file that nothing of the plan takes, of those that were wanted.
    pub kept: Vec<Range<u64>>,
    /// ET_EXEC rather than ET_DYN.
    pub fixed: bool,
    /// PF_X on PT_GNU_STACK.
    pub executable_stack: bool,
    /// Mappings that the starter makes.
    pub mapped: usize,
    /// Addresses in the output of the modules' first bytes, by module (places).
    pub modules: Vec<Range<Place>>,
    /// The memory by what happens to it; ascending as the image's regions are.
    pub pieces: Vec<Piece>,
}

/// Size of an ELF header and of the most program headers that every kernel takes: 4 KiB in all.
const HEADERS: u64 = PAGE;

/// Lays the image out. `kept` are pages of the file that are wanted for something else; ascending, none
/// touch.
pub fn lay_out(image: &Image, shape: &Shape, mut kept: Vec<Range<u64>>) -> Plan {
    let constants = &constants::find(image);
    let patched = &pieces::patched_pages(image, constants);
    let mut pieces = pieces::cut(image, patched);
    let mut segments = segments::choose(image, &mut pieces, constants);
    // The size of the tables does not depend on where anything is.
    let addresses = &Addresses::choose(image, PAGE);
    let placement = &placement::place(image, &segments, addresses);
    let slides = &tables::SlideGroups::new(&image.slides, &image.cpu.resolvers, addresses);
    let (pieces, no_pool) = (&pieces[..], 0..0);
    let input = tables::Input {
        image,
        shape,
        pieces,
        placement,
        patched,
        constants,
        slides,
        addresses,
        pool: (0, no_pool),
    };
    let size = tables::size(&input);
    let code_len = page_up(starter::IMAGE.len() as u64);
    let front_len = page_up(HEADERS + size as u64) + code_len;
    let addresses = &Addresses::choose(image, front_len + PAGE);
    kept.retain(|range| range.start >= front_len);
    let end = segments::assign_offsets(image, &mut segments, front_len, shape.align, &kept);
    let mut placement = placement::place(image, &segments, addresses);
    let base = addresses.front;
    placement.loads.extend(placement::front(base, front_len, code_len));
    placement.loads.sort_by_key(|load| load.address);
    if let Some(first) = placement.loads.first_mut() {
        first.align = addresses.program_alignment;
    }
    let code = base + front_len - code_len;
    let pool = (base + front_len, placement.pool(front_len - PAGE));
    let input = tables::Input { placement: &placement, addresses, pool, ..input };
    let front = tables::build(&input, base, code, HEADERS);
    let modules = image.modules.iter().map(|module| addresses.range(&module.range)).collect();
    Plan {
        loads: placement.loads,
        front,
        front_offset: HEADERS,
        entry: code,
        segments,
        end,
        kept,
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
        let first = ElfFile::parse(&image.objects[0].bytes).ok().and_then(|elf| elf.span());
        let module = image.modules.iter().position(|module| module.object == Some(0));
        let start = module.map_or(0, |module| self.modules[module].start & !ABSOLUTE);
        start.wrapping_sub(first.map_or(0, |span| span.start))
    }
}
