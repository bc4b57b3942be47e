//! From an image to a plan of the output: which pieces of memory the kernel maps from program
//! headers, which the starter puts in place, where each lies in the file, and the starter's tables.
//!
//! [`pieces`] cuts the memory by permissions, [`segments`] decides what is in the file,
//! [`coalesce`] joins where there are too many, [`placement`] says who maps what, [`tables`] builds
//! the parameter block.

mod coalesce;
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

pub use pieces::Piece;
pub use placement::Load;
pub use segments::Segment;

/// What the user may choose.
#[derive(Clone, Debug)]
pub struct LayoutOptions {
    /// File offsets of modules are multiples of this: a power of two, a page at least.
    pub align: u64,
    /// Pages of the file that are wanted for something else; ascending, none touch.
    pub kept: Vec<Range<u64>>,
}

/// A file to be written.
pub struct Plan {
    /// The PT_LOADs, ascending by address; the first holds the headers and the starter.
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
    pub moved: usize,
    /// Addresses in the output of the modules' first bytes, by module (places).
    pub modules: Vec<Range<Place>>,
    /// The memory by what happens to it; ascending as the image's regions are.
    pub pieces: Vec<Piece>,
}

/// Size of an ELF header and of the most program headers that every kernel takes: 4 KiB in all.
const HEADERS: u64 = PAGE;

/// Lays the image out.
pub fn lay_out(image: &Image, options: LayoutOptions) -> Plan {
    let constants = &constants::find(image);
    let patched = &pieces::patched_pages(image, constants);
    let mut pieces = pieces::cut(image, patched);
    let mut segments = segments::choose(image, &mut pieces, constants);
    let most = placement::room(image, &segments);
    // Between modules that begin at multiples of more than a page, the file has gaps.
    coalesce::coalesce(image, &mut pieces, &mut segments, most, options.align == PAGE);
    // The size of the tables does not depend on where they are.
    let placement = placement::place(image, &segments, 0);
    let slides = &tables::SlideGroups::new(&image.slides, &image.cpu.resolvers);
    let input = tables::Input {
        image,
        pieces: &pieces,
        placement: &placement,
        patched,
        constants,
        slides,
        shift: 0,
    };
    let size = tables::size(&input);
    let code_len = page_up(starter::IMAGE.len() as u64);
    let front_len = page_up(HEADERS + size as u64) + code_len;
    let base = if image.fixed { placement::fixed_base(image, front_len) } else { 0 };
    let shift = if image.fixed { 0 } else { front_len.next_multiple_of(image.alignment) };
    let mut kept = options.kept;
    kept.retain(|range| range.start >= front_len);
    let end = segments::assign_offsets(image, &mut segments, front_len, options.align, &kept);
    let mut placement = placement::place(image, &segments, shift);
    placement.loads.extend(Load::front(base, front_len, code_len, image.alignment));
    placement.loads.sort_by_key(|load| load.address);
    let code = base + front_len - code_len;
    let input = tables::Input { placement: &placement, shift, ..input };
    let front = tables::build(&input, base, code, HEADERS);
    let modules = image
        .modules
        .iter()
        .map(|module| {
            let start = placement::shifted(module.range.start, shift);
            start..start + (module.range.end - module.range.start)
        })
        .collect();
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
        moved: placement.moves.len() + placement.zeros.len(),
        modules,
        pieces,
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
