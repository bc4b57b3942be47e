//! What the starter is told that is no table.

use statify_elf::{ElfFile, page_down};
use statify_format::{Randomness, Seal, Shape};

use crate::capture::PROGRAM;
use crate::classify::Image;
use crate::place::Place;

/// The newest of the kernels that the image's files demand, as [`statify_params::Params::least_kernel`] has
/// it; none where every kernel that an output runs on is as new.
pub fn least_kernel(image: &Image) -> u64 {
    let of = |object: &crate::capture::Object| ElfFile::parse(&object.bytes).ok()?.least_kernel();
    let versions = image.objects.iter().filter_map(of);
    let packed = |[major, minor, patch]: [u32; 3]| {
        u64::from(major.min(255) << 16 | minor.min(255) << 8 | patch.min(255))
    };
    /// Linux 3.2.
    const OLDEST: u64 = 0x30200;
    versions.map(packed).max().filter(|&version| version > OLDEST).unwrap_or(0)
}

/// Whether the loader has the program in a table that is in the order of addresses (glibc's, from 2.35 on, which
/// `_dl_find_object` searches). Where its segments follow one another, it is known by itself.
fn is_in_order(image: &Image) -> bool {
    let elf = image.program().and_then(|program| ElfFile::parse(&program.bytes).ok());
    elf.is_some_and(|elf| elf.has_holes())
}

/// A sum of the `RANDOM_*` and `SEAL_*`, PROGRAM_FIRST and SAME_PAGE_SIZE.
pub fn chosen(image: &Image, shape: &Shape) -> u64 {
    let random = match shape.randomness {
        Randomness::Full if !image.fixed => statify_params::RANDOM_FULL,
        _ => 0,
    };
    let first = random != 0 && is_in_order(image);
    let same_size = image.machine().front_gap() > 0 && !image.page_size_followed;
    random
        | if same_size { statify_params::SAME_PAGE_SIZE } else { 0 }
        | if first { statify_params::PROGRAM_FIRST } else { 0 }
        | match shape.seal {
            Seal::Unfiltered => statify_params::SEAL_UNFILTERED,
            Seal::Always => statify_params::SEAL_ALWAYS,
            Seal::Never => 0,
        }
}

/// Where the program's code begins and ends, and its data, as the kernel counts them
/// (load_elf_binary in fs/binfmt_elf.c): places of the image.
pub fn extents(image: &Image) -> [Place; 4] {
    let module = image.module_of(PROGRAM);
    let elf = image.program().and_then(|program| ElfFile::parse(&program.bytes).ok());
    let (Some(module), Some(elf)) = (module, elf) else { return [Place::default(); 4] };
    let first = elf.span().map_or(0, |span| page_down(span.start));
    let place = |address: u64| module.range.start.wrapping_add(address.wrapping_sub(first));
    let starts_and_ends = |only_code: bool| {
        let loads = elf.loads().filter(move |load| load.is_executable() || !only_code);
        loads.map(|load| (load.p_vaddr, load.p_vaddr.saturating_add(load.p_filesz)))
    };
    [
        starts_and_ends(true).map(|(start, _)| start).min(),
        starts_and_ends(true).map(|(_, end)| end).max(),
        starts_and_ends(false).map(|(start, _)| start).max(),
        starts_and_ends(false).map(|(_, end)| end).max(),
    ]
    .map(|address| place(address.unwrap_or(first)))
}
