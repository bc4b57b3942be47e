//! Tables of records, one behind the other.

use statify_params::Table;
use zerocopy::{Immutable, IntoBytes};

/// Their bytes.
#[derive(Default)]
pub struct Pile(Vec<u8>);

/// Where a table lies in a pile.
#[derive(Clone, Copy, Default)]
pub struct Placed {
    start: usize,
    /// How many records it has.
    count: usize,
}

impl Placed {
    /// The same, as the starter counts: down from `end`.
    pub fn below(self, end: usize) -> Table {
        Table { offset: (end - self.start) as u32, count: self.count as u32 }
    }
}

impl Pile {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Zeros, until there is a multiple of so many bytes.
    pub fn fill_up_to(&mut self, multiple: usize) {
        self.0.resize(self.0.len().next_multiple_of(multiple), 0);
    }

    /// Adds a table.
    pub fn table<T: IntoBytes + Immutable>(
        &mut self,
        records: impl IntoIterator<Item = T>,
    ) -> Placed {
        self.fill_up_to(8);
        let (start, mut count) = (self.0.len(), 0);
        for record in records {
            self.0.extend(record.as_bytes());
            count += 1;
        }
        Placed { start, count }
    }

    /// Adds bytes: a table of records of one byte each.
    pub fn bytes<'a>(&mut self, parts: impl IntoIterator<Item = &'a [u8]>) -> Placed {
        let start = self.0.len();
        parts.into_iter().for_each(|part| self.0.extend(part));
        Placed { start, count: self.0.len() - start }
    }

    /// Writes the records of a table once more, which are of the same type and as many.
    pub fn again<T: IntoBytes + Immutable>(
        &mut self,
        table: Placed,
        records: impl IntoIterator<Item = T>,
    ) {
        let places = self.0[table.start..].chunks_exact_mut(size_of::<T>());
        for (place, record) in places.zip(records) {
            place.copy_from_slice(record.as_bytes());
        }
    }

    /// Adds a last record, and returns all bytes.
    pub fn end<T: IntoBytes + Immutable>(mut self, record: T) -> Vec<u8> {
        self.0.extend(record.as_bytes());
        self.0
    }
}
