//! Which frames of a snapshot are which of all: those of one machine with the same number are the same.

/// The frames of a machine that are known from newer snapshots of it.
#[derive(Debug, Default)]
pub struct Known {
    /// Frame numbers, ascending, with the frame among all.
    sorted: Vec<(u64, u32)>,
    /// Those of the snapshot that is read now.
    new: Vec<(u64, u32)>,
}

impl Known {
    fn find(&self, number: u64) -> Option<u32> {
        let index = self.sorted.binary_search_by_key(&number, |known| known.0).ok()?;
        Some(self.sorted[index].1)
    }

    /// Ends a snapshot.
    pub fn settle(&mut self) {
        self.sorted.append(&mut self.new);
        self.sorted.sort_unstable();
    }
}

/// Which of all frames a snapshot's are.
#[derive(Debug)]
pub struct Identity {
    first: u32,
    /// Of each of its frames, which of all it is, where they do not follow one another.
    table: Option<Vec<u32>>,
    is_asked_later: bool,
}

impl Identity {
    /// Of a snapshot that adds frames from `first` on. There may be a newer one of the machine, and an older one.
    pub fn new(first: u32, has_newer: bool, has_older: bool) -> Self {
        Self { first, table: has_newer.then(Vec::new), is_asked_later: has_older }
    }

    /// Takes the snapshot's next frame, which would be the frame `next` of all. Whether it is one that was not known.
    #[inline]
    pub fn place(&mut self, known: &mut Known, number: Option<u64>, next: u32) -> bool {
        let old = match (&self.table, number) {
            (Some(_), Some(number)) => known.find(number),
            _ => None,
        };
        if let Some(table) = &mut self.table {
            table.push(old.unwrap_or(next));
        }
        if let (None, true, Some(number)) = (old, self.is_asked_later, number) {
            known.new.push((number, next));
        }
        old.is_none()
    }

    /// Which of all a frame of the snapshot is.
    pub fn global(&self, local: usize) -> u32 {
        match &self.table {
            Some(table) => table.get(local).copied().unwrap_or(u32::MAX),
            None => self.first + local as u32,
        }
    }

    /// Its frames among those of all that are listed, ascending: the snapshot's index, and the place in the list.
    pub fn locals(&self, globals: &[u32]) -> Vec<(u64, usize)> {
        match &self.table {
            None => {
                let local = |(index, global): (usize, &u32)| {
                    Some((u64::from(global.checked_sub(self.first)?), index))
                };
                globals.iter().enumerate().filter_map(local).collect()
            }
            Some(table) => {
                let found = |(local, global): (usize, &u32)| {
                    Some((local as u64, globals.binary_search(global).ok()?))
                };
                table.iter().enumerate().filter_map(found).collect()
            }
        }
    }
}
