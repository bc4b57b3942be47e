//! Where pages come from.

use crate::Result;

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// A supply of pages.
pub trait Pages {
    /// Copies the next pages into a buffer, which is of whole pages, and returns how many bytes these are: a multiple of
    /// [`PAGE`], and 0 only when there are no more.
    fn next(&mut self, buffer: &mut [u8]) -> Result<usize>;

    /// Pages that are there, but could not be read so far.
    fn unread(&self) -> u64 {
        0
    }
}

/// One supply after the other.
impl<P: Pages> Pages for Vec<P> {
    fn next(&mut self, buffer: &mut [u8]) -> Result<usize> {
        for pages in self {
            let len = pages.next(buffer)?;
            if len > 0 {
                return Ok(len);
            }
        }
        Ok(0)
    }

    fn unread(&self) -> u64 {
        self.iter().map(Pages::unread).sum()
    }
}
