//! The running kernel's vDSO: its functions by name (vdso(7); gABI for the tables).

use crate::elf::{PHNUM, PHOFF, PROGRAM_HEADER, ProgramHeader, Symbol, WORD, Word};

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const DT_NULL: u64 = 0;
const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_GNU_HASH: u64 = 0x6fff_fef5;

/// A vDSO that has been understood.
pub struct Vdso {
    bias: u64,
    symbols: *const Symbol,
    count: u32,
    strings: *const u8,
}

impl Vdso {
    /// Reads the tables of the vDSO whose ELF header is at `ehdr`.
    ///
    /// # Safety
    ///
    /// `ehdr` is the kernel's AT_SYSINFO_EHDR.
    pub unsafe fn open(ehdr: u64) -> Option<Self> {
        // SAFETY: the kernel's vDSO is a well-formed ELF image.
        unsafe {
            let at = |offset: u64| ehdr.wrapping_add(offset);
            let phdrs = at(*(at(PHOFF) as *const Word) as u64);
            let phnum = *(at(PHNUM) as *const u16);
            let mut bias = None;
            let mut dynamic = 0u64;
            for i in 0..u64::from(phnum) {
                let header = (phdrs + i * PROGRAM_HEADER) as *const ProgramHeader;
                let (offset, vaddr) = (u64::from((*header).offset), u64::from((*header).vaddr));
                match (*header).kind {
                    PT_LOAD if bias.is_none() => bias = Some(at(offset).wrapping_sub(vaddr)),
                    PT_DYNAMIC => dynamic = at(offset),
                    _ => {}
                }
            }
            let bias = bias?;
            let (mut symbols, mut strings, mut hash, mut gnu_hash) = (0, 0, 0, 0);
            let mut entry = dynamic as *const Word;
            if entry.is_null() {
                return None;
            }
            while *entry as u64 != DT_NULL {
                let value = (*entry.add(1) as u64).wrapping_add(bias);
                match *entry as u64 {
                    DT_HASH => hash = value,
                    DT_GNU_HASH => gnu_hash = value,
                    DT_STRTAB => strings = value,
                    DT_SYMTAB => symbols = value,
                    _ => {}
                }
                entry = entry.add(2);
            }
            if symbols == 0 || strings == 0 {
                return None;
            }
            let count = if hash != 0 {
                *((hash + 4) as *const u32)
            } else if gnu_hash != 0 {
                gnu_hash_count(gnu_hash as *const u32)
            } else {
                return None;
            };
            Some(Self {
                bias,
                symbols: symbols as *const Symbol,
                count,
                strings: strings as *const u8,
            })
        }
    }

    /// The address of the function with the NUL-terminated name at `name`.
    ///
    /// # Safety
    ///
    /// `name` ends with a NUL.
    pub unsafe fn find(&self, name: *const u8) -> Option<u64> {
        // SAFETY: `open` found `count` symbols and their strings.
        unsafe {
            for i in 0..self.count as usize {
                let symbol = &*self.symbols.add(i);
                if symbol.section != 0 && same(self.strings.add(symbol.name as usize), name) {
                    return Some(self.bias.wrapping_add(symbol.value.into()));
                }
            }
        }
        None
    }
}

/// Number of symbols of a DT_GNU_HASH table: one more than the last of the longest chain. Newer
/// kernels build the vDSO without DT_HASH.
unsafe fn gnu_hash_count(table: *const u32) -> u32 {
    // SAFETY: the layout is fixed: four numbers, bloom words, buckets, chains.
    unsafe {
        let (buckets, first, bloom) = (*table, *table.add(1), *table.add(2));
        let bucket = table.add(4 + WORD as usize / 4 * bloom as usize);
        let mut last = 0;
        for i in 0..buckets as usize {
            if *bucket.add(i) > last {
                last = *bucket.add(i);
            }
        }
        if last < first {
            return first;
        }
        let chain = bucket.add(buckets as usize);
        while *chain.add((last - first) as usize) & 1 == 0 {
            last += 1;
        }
        last + 1
    }
}

unsafe fn same(a: *const u8, b: *const u8) -> bool {
    let mut i = 0;
    // SAFETY: both end with a NUL, and the loop stops at the first.
    unsafe {
        while *a.add(i) == *b.add(i) {
            if *a.add(i) == 0 {
                return true;
            }
            i += 1;
        }
    }
    false
}
