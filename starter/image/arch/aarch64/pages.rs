//! The kernel's pages, which are of one of three sizes.

use crate::PAGE;
use crate::params::{Params, Range, SAME_PAGE_SIZE, WHOLE_FIRST, WHOLE_LAST};
use crate::stack::{AT_PAGESZ, Stack};

/// Their size, a power of two.
#[derive(Clone, Copy)]
pub struct Pages(u64);

impl Pages {
    pub fn of(stack: &Stack) -> Self {
        Self(stack.value(AT_PAGESZ).unwrap_or(PAGE))
    }

    /// Whether the output is for the kernel's.
    pub fn fit(p: &Params, stack: &Stack) -> bool {
        let Self(size) = Self::of(stack);
        let is_same = size == p.page_size;
        if p.choices & SAME_PAGE_SIZE != 0 { is_same } else { size <= p.largest_page }
    }

    /// In bytes.
    pub fn size(self) -> u64 {
        self.0
    }

    /// The start of the page that a byte lies in.
    pub fn down(self, at: u64) -> u64 {
        at & !(self.0 - 1)
    }

    /// The end of the page that the byte before `at` lies in.
    pub fn up(self, at: u64) -> u64 {
        self.down(at + (self.0 - 1))
    }

    /// Whole pages that a range of the tables stands for, which lies at `start` here. Permissions alone are left in `prot`.
    pub fn whole(self, range: &Range, start: u64) -> Range {
        let end = start + range.len;
        let start = if range.prot & WHOLE_FIRST != 0 { self.down(start) } else { self.up(start) };
        let end = if range.prot & WHOLE_LAST != 0 { self.up(end) } else { self.down(end) };
        let len = if start < end { end - start } else { 0 };
        Range { start, len, prot: range.prot & !(WHOLE_FIRST | WHOLE_LAST) }
    }
}
