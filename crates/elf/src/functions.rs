//! Where functions begin, as unwinders find it: the sorted table of PT_GNU_EH_FRAME (LSB core,
//! "Exception Frames"; the encodings of pointers are DWARF's).

use std::ops::Range;

use goblin::elf::program_header::PT_GNU_EH_FRAME;

use super::ElfFile;

/// DW_EH_PE_omit, DW_EH_PE_udata4, and DW_EH_PE_datarel | DW_EH_PE_sdata4.
const OMITTED: u8 = 0xff;
const UDATA4: u8 = 0x03;
const DATAREL_SDATA4: u8 = 0x3b;

/// The beginnings of functions, ascending where the file is sound.
#[derive(Clone, Debug)]
pub struct Functions<'a> {
    file: ElfFile<'a>,
    /// Pairs of four bytes: a function's distance from `base`, and its unwinding information's.
    table: &'a [u8],
    base: u64,
}

impl<'a> ElfFile<'a> {
    /// The table of functions; `None` if there is none in the form that linkers give it.
    pub fn functions(&self) -> Option<Functions<'a>> {
        let segment = self.of_type(PT_GNU_EH_FRAME).next()?;
        let bytes = self.contents(segment)?;
        // Version; encodings of the pointer to .eh_frame, of the count and of the table.
        let [1, frame, UDATA4, DATAREL_SDATA4] = *bytes.first_chunk()? else { return None };
        // DW_EH_PE_*data4 take four bytes, *data8 and addresses eight; others are not in use.
        let pointer = match frame & 0xf {
            _ if frame == OMITTED => 0,
            0x03 | 0x0b => 4,
            0x00 | 0x04 | 0x0c => self.address_size(),
            _ => return None,
        };
        let rest = bytes.get(4 + pointer..)?;
        let count = usize::try_from(self.word(rest.get(..4)?)).ok()?;
        let table = rest.get(4..)?.get(..count.checked_mul(8)?)?;
        Some(Functions { file: self.clone(), table, base: segment.p_vaddr })
    }
}

impl Functions<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.len() / 8
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    fn entries(&self) -> &[[u8; 8]] {
        self.table.as_chunks().0
    }

    fn start(&self, entry: &[u8; 8]) -> u64 {
        self.base.wrapping_add_signed(i64::from(self.file.word(entry).cast_signed()))
    }

    /// Where they begin, in the table's order.
    pub fn starts(&self) -> impl Iterator<Item = u64> {
        self.entries().iter().map(|entry| self.start(entry))
    }

    /// Whether a function begins at this address (before any bias).
    pub fn contains(&self, address: u64) -> bool {
        self.entries().binary_search_by_key(&address, |entry| self.start(entry)).is_ok()
    }

    /// The beginning of the function that this address is in, as its frame description says, which
    /// tells its length, too.
    pub fn covering(&self, address: u64) -> Option<u64> {
        let behind = self.entries().partition_point(|entry| self.start(entry) <= address);
        let entry = self.entries().get(behind.checked_sub(1)?)?;
        let start = self.start(entry);
        let distance = i64::from(self.file.word(&entry[4..]).cast_signed());
        let description = self.base.wrapping_add_signed(distance);
        // Length, distance of what it shares with others, first address, number of bytes: the latter
        // two in the encoding that all linkers' output has (4 bytes, counted from this place).
        let bytes = self.file.at(description, 16)?;
        let from = i64::from(self.file.word(&bytes[8..]).cast_signed());
        let is_usual = description.wrapping_add(8).wrapping_add_signed(from) == start;
        let len = u64::from(self.file.word(&bytes[12..]));
        (is_usual && address - start < len).then_some(start)
    }

    /// The addresses (before any bias) from the beginning of the function that `address` is in to
    /// the beginning of the next.
    pub fn around(&self, address: u64) -> Option<Range<u64>> {
        let entries = self.entries();
        let next = entries.partition_point(|entry| self.start(entry) <= address);
        let first = self.start(entries.get(next.checked_sub(1)?)?);
        Some(first..entries.get(next).map_or(u64::MAX, |entry| self.start(entry)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn known() -> usize {
        known as *const () as usize
    }

    #[test]
    fn functions_of_this_test_program() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        let file = ElfFile::parse(&bytes).unwrap();
        let functions = file.functions().unwrap();
        assert!(functions.len() > 100);
        // SAFETY: AT_PHDR is the address of this program's own headers, which stay mapped.
        let bias = unsafe { libc::getauxval(libc::AT_PHDR) } - file.header_table_address().unwrap();
        let at = known() as u64 - bias;
        assert_eq!(functions.around(at).unwrap().start, at);
        assert_eq!(functions.around(at + 1).unwrap().start, at);
        assert!(functions.around(0).is_none());
    }
}
