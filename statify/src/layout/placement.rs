//! Who maps what, and where it lies.
//!
//! The program comes first, at its own addresses, then the front (the output's headers, the
//! starter's tables and code): the kernel maps these from program headers. What follows are the
//! libraries: the loader, what it has loaded and allocated. The starter maps them from the output,
//! at a distance of their own, as it does what belongs to absolute addresses.

use std::collections::BTreeMap;
use std::ops::Range;

use statify_elf::encode::Sizes;
use statify_elf::{ElfFile, PAGE, PROT_EXEC, PROT_READ, PROT_WRITE, page_down, page_up};
use statify_params::{Group, MOST_GROUPS, WHOLE_FIRST, WHOLE_LAST};

use super::MOST_HEADERS;
use super::pooled::{self, InFile};
use super::segments::{Segment, must_move};
use crate::capture::{Object, PROGRAM};
use crate::classify::{Image, Module};
use crate::place::{OutPlace, Place};

/// PT_LOADs that fit: the headers may take 4 KiB (load_elf_phdrs in fs/binfmt_elf.c, up to Linux
/// 5.17), the ELF header among them, and two PT_NOTEs, PT_GNU_STACK and the build-id are wanted too.
fn most_loads(sizes: Sizes) -> usize {
    let room = MOST_HEADERS as usize - sizes.header - statify_format::build_id::NOTE;
    room / sizes.program_header - OTHER_HEADERS
}

/// PT_GNU_STACK and the two PT_NOTEs.
pub const OTHER_HEADERS: usize = 3;
/// The front's two, and the spare page.
const FRONT_LOADS: usize = 3;
/// These, and room kept free.
const OWN_LOADS: usize = FRONT_LOADS + 1;

/// A PT_LOAD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// p_vaddr.
    pub address: OutPlace,
    /// p_memsz.
    pub len: u64,
    /// p_offset; of no meaning where `file_len` is 0.
    pub offset: u64,
    /// p_filesz.
    pub file_len: u64,
    /// PROT_*.
    pub prot: u32,
    /// p_align.
    pub align: u64,
}

/// The addresses of the output.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// What the program's own addresses have more than places of the image.
    program: u64,
    /// Where each group of libraries that slide alike begins: places of the image, ascending. None where
    /// nothing slides.
    groups: Vec<Place>,
    /// What the libraries' virtual addresses have more than places of the image.
    libraries: u64,
    /// The first byte of the front.
    pub front: OutPlace,
    /// What the program's distance must be a multiple of.
    pub program_alignment: u64,
    /// No page of this size has two permissions.
    largest_page: u64,
}

impl Addresses {
    /// Decides, for pages of up to `largest_page` bytes. The front takes `front_len` bytes of addresses, the spare page among them.
    pub fn choose(image: &Image, largest_page: u64, front_len: u64) -> Self {
        if image.fixed {
            let front = fixed_base(image, largest_page, front_len);
            return Self {
                front,
                program_alignment: largest_page,
                largest_page,
                ..Self::default()
            };
        }
        let slid = || image.modules.iter().filter(|module| !module.range.start.is_absolute());
        let file = |index: usize| ElfFile::parse(&image.objects.get(index)?.bytes).ok();
        let alignment_of =
            |index| file(index).map_or(largest_page, |elf| elf.alignment().max(largest_page));
        let program = slid().find(|module| module.object == Some(PROGRAM));
        let (by, end) = program.map_or((0, 0), |module| {
            let own =
                file(PROGRAM).and_then(|elf| elf.span()).map_or(0, |span| page_down(span.start));
            let by = own.wrapping_sub(module.range.start.value());
            (by, module.range.end.value().wrapping_add(by).next_multiple_of(largest_page))
        });
        let libraries = || slid().filter(|module| module.object != Some(PROGRAM));
        let alignment = (0..image.objects.len()).map(alignment_of).max().unwrap_or(largest_page);
        let mut groups: BTreeMap<Option<usize>, Place> = BTreeMap::new();
        for module in libraries() {
            let start = groups.entry(module.group).or_insert(module.range.start);
            *start = module.range.start.min(*start);
        }
        let mut groups: Vec<Place> = groups.into_values().collect();
        groups.sort_unstable();
        groups.truncate(MOST_GROUPS);
        let start = groups.first().map_or(0, |first| first.align_down(alignment).value());
        let libraries = (end + front_len).next_multiple_of(alignment).wrapping_sub(start);
        let program_alignment = program.map_or(largest_page, |_| alignment_of(PROGRAM));
        let front = OutPlace::new(end);
        Self { program: by, groups, libraries, front, program_alignment, largest_page }
    }

    /// A place of the image in the output.
    pub fn at(&self, place: Place) -> OutPlace {
        let more = match self.group(place) {
            _ if place.is_absolute() => 0,
            None => self.program,
            Some(_) => self.libraries,
        };
        OutPlace::new(place.value().wrapping_add(more))
    }

    /// A range of places of the image in the output.
    pub fn range(&self, range: &Range<Place>) -> Range<OutPlace> {
        let start = self.at(range.start);
        start..start + (range.end - range.start)
    }

    /// Whether two places of the image slide alike.
    pub fn slide_alike(&self, a: Place, b: Place) -> bool {
        a.is_absolute() == b.is_absolute() && self.group(a) == self.group(b)
    }

    /// The group of libraries that a place of the image belongs to.
    fn group(&self, place: Place) -> Option<usize> {
        self.groups.partition_point(|start| *start <= place).checked_sub(1)
    }

    /// The groups of libraries in the output.
    pub fn groups(&self, image: &Image) -> Vec<Group> {
        fn parsed(object: &Object) -> Option<ElfFile<'_>> {
            ElfFile::parse(&object.bytes).ok()
        }
        // The loader allocates thread-local variables, the program's as well.
        let of_threads = image.objects.iter().filter_map(parsed).map(|elf| elf.thread_alignment());
        let of_threads = of_threads.max().unwrap_or(PAGE);
        let alignment = |module: &Module| match module.object {
            Some(index) => parsed(&image.objects[index]).map_or(PAGE, |elf| elf.alignment()),
            None => of_threads,
        };
        let describe = |(index, &start): (usize, &Place)| {
            let is_its = |module: &&Module| {
                let start = module.range.start;
                !start.is_absolute() && self.group(start) == Some(index)
            };
            let modules = || image.modules.iter().filter(is_its);
            let end = modules().map(|module| module.range.end).max().unwrap_or(start);
            let (start, last) = (self.at(start), self.at(end.saturating_sub(1)));
            let (start, end) = (page_down(start.value()), page_up(last.value() + 1));
            let alignment = modules().map(alignment).fold(self.largest_page, u64::max);
            Group { start, len: end - start, alignment }
        };
        self.groups.iter().enumerate().map(describe).collect()
    }
}

/// Pages of the file that the starter maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// Where they go.
    pub range: Range<OutPlace>,
    /// PROT_* as they are mapped.
    pub prot: u32,
    /// Where they are in the output.
    pub offset: u64,
    /// Where they are in a library's own file, if they are as it has them.
    pub in_file: Option<InFile>,
}

/// Program headers and what the starter does.
#[derive(Debug, Default)]
pub struct Placement {
    /// Ascending by address.
    pub loads: Vec<Load>,
    /// Pages of the file for the starter to map.
    pub maps: Vec<Mapped>,
    /// Zero pages for the starter to map, with their PROT_*, [`WHOLE_FIRST`] and [`WHOLE_LAST`].
    pub zeros: Vec<(Range<OutPlace>, u32)>,
}

impl Placement {
    /// What is mapped of libraries' own pages: where they are in their files, and how many bytes.
    pub fn in_files(&self) -> impl Iterator<Item = (InFile, u64)> {
        let len = |mapped: &Mapped| mapped.range.end - mapped.range.start;
        self.maps.iter().filter_map(move |mapped| Some((mapped.in_file?, len(mapped))))
    }

    /// The file offsets that hold what the starter maps.
    pub fn spare(&self, start: u64) -> Range<u64> {
        let end = |mapped: &Mapped| mapped.offset + (mapped.range.end - mapped.range.start);
        let ends = self.maps.iter().map(end);
        start..ends.max().unwrap_or(start + PAGE)
    }
}

/// Decides.
pub fn place(image: &Image, segments: &[Segment], addresses: &Addresses) -> Placement {
    let mut placement = Placement::default();
    let of_program = |segment: &Segment| {
        image.modules[segment.module].object == Some(PROGRAM) && !must_move(image, segment)
    };
    let room = most_loads(image.machine().sizes()) - OWN_LOADS;
    let mut kept: Option<Range<OutPlace>> = None;
    for segment in segments {
        let range = addresses.range(&segment.range);
        let file_len = segment.file_len.min(range.end - range.start);
        let in_file = range.start..range.start + file_len;
        if of_program(segment) {
            if placement.loads.len() < room {
                placement.loads.push(Load {
                    address: range.start,
                    len: range.end - range.start,
                    // Kernels up to Linux 6.9 demand it of zero pages, too.
                    offset: match file_len {
                        0 => range.start.value() % addresses.largest_page,
                        _ => segment.offset,
                    },
                    file_len,
                    prot: segment.prot,
                    align: addresses.largest_page,
                });
                continue;
            }
            // What has no program header must stay free until the starter comes.
            kept = Some(kept.map_or(range.start, |kept| kept.start)..range.end);
        }
        if !in_file.is_empty() {
            placement.maps.push(Mapped {
                range: in_file.clone(),
                prot: segment.prot,
                offset: segment.offset,
                in_file: pooled::in_file(image, segment, addresses.largest_page),
            });
        }
        if in_file.end < range.end {
            let first = if in_file.is_empty() { WHOLE_FIRST } else { 0 };
            let (prot, ends) = match (addresses.largest_page, segment.is_hole) {
                (PAGE, _) => (segment.prot, 0),
                // It leaves pages that it shares to others, and nothing there is cleared.
                (_, true) => (0, 0),
                (_, false) => (segment.prot, first | WHOLE_LAST),
            };
            placement.zeros.push((in_file.end..range.end, prot | ends as u32));
        }
    }
    let start_of = |range: &Range<OutPlace>| range.start.align_up(addresses.largest_page);
    let kept = kept.map(|range| start_of(&range)..range.end).filter(|range| !range.is_empty());
    placement.loads.extend(kept.map(|range| Load {
        address: range.start,
        len: range.end - range.start,
        offset: 0,
        file_len: 0,
        prot: PROT_READ | PROT_WRITE,
        align: addresses.largest_page,
    }));
    placement
}

/// How many bytes the headers take, with the build-id behind them, where the front's own are to come yet; the tables'
/// alignment included.
pub fn headers(placement: &Placement, sizes: Sizes) -> u64 {
    let count = placement.loads.len() + FRONT_LOADS + OTHER_HEADERS;
    let len = sizes.header + count * sizes.program_header + statify_format::build_id::NOTE;
    (len as u64).next_multiple_of(16)
}

/// How far behind its beginning a front of `len` bytes has the page that can grow: apart from the code whose last page it is.
pub fn spare_page(len: u64, gap: u64) -> u64 {
    len - PAGE + (2 * gap).max(PAGE)
}

/// The front, of `len` bytes: headers, tables and parameters; `gap` bytes further the starter's code, `code_len` bytes; its last
/// page once more, for the starter to grow where it cannot open the output.
pub fn front(addresses: &Addresses, len: u64, code_len: u64, gap: u64) -> [Load; FRONT_LOADS] {
    let (base, tables) = (addresses.front, len - code_len);
    let load = |address, offset, len, prot| Load {
        address,
        len,
        offset,
        file_len: len,
        prot,
        align: addresses.largest_page,
    };
    [
        load(base, 0, tables, PROT_READ),
        load(base + (tables + gap), tables, code_len, PROT_READ | PROT_EXEC),
        load(base + spare_page(len, gap), len - PAGE, PAGE, PROT_READ | PROT_EXEC),
    ]
}

/// Where the front of an output at fixed addresses lies: below its lowest module if it can.
fn fixed_base(image: &Image, largest_page: u64, front_len: u64) -> OutPlace {
    /// Lower addresses are refused (vm.mmap_min_addr).
    const LEAST: u64 = 64 << 10;
    // Nothing slides: places are addresses.
    let lowest = image.modules.iter().map(|module| module.range.start.value()).min().unwrap_or(0);
    let highest = image.modules.iter().map(|module| module.range.end.value()).max().unwrap_or(0);
    OutPlace::new(match lowest.checked_sub(front_len) {
        Some(base) if base >= LEAST => base & !(largest_page - 1),
        _ => highest.next_multiple_of(largest_page),
    })
}
