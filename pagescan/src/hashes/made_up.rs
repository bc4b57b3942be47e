//! Pages that nobody has.

use super::pages::{PAGE, Pages};
use crate::Result;

/// Pages of random bytes, all different and the same at every run: each is what BLAKE3 makes of its number.
#[derive(Clone, Debug)]
pub struct MadeUp {
    next: u64,
    end: u64,
}

impl MadeUp {
    /// As many.
    pub fn new(pages: u64) -> Self {
        Self { next: 0, end: pages }
    }
}

impl Pages for MadeUp {
    fn next(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut len = 0;
        for page in buffer.as_chunks_mut::<PAGE>().0 {
            if self.next == self.end {
                break;
            }
            blake3::Hasher::new().update(&self.next.to_le_bytes()).finalize_xof().fill(page);
            self.next += 1;
            len += PAGE;
        }
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_asked_for_in_any_portions() {
        let mut whole = vec![0; 5 * PAGE];
        assert_eq!(MadeUp::new(5).next(&mut whole).unwrap(), 5 * PAGE);
        let (mut pages, mut parts) = (MadeUp::new(5), Vec::new());
        let mut buffer = vec![0; 2 * PAGE];
        loop {
            let len = pages.next(&mut buffer).unwrap();
            if len == 0 {
                break;
            }
            parts.extend_from_slice(&buffer[..len]);
        }
        assert!(parts == whole);
        assert_ne!(whole[..PAGE], whole[PAGE..2 * PAGE]);
    }
}
