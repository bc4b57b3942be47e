//! Paths, as the loader writes them.

/// Longer paths the kernel refuses (PATH_MAX in linux/limits.h).
const LONGEST: usize = 4096;

/// A path: bytes without the NUL.
#[derive(Clone, Copy)]
pub struct Path<'a>(pub &'a [u8]);

impl<'a> Path<'a> {
    /// The path at an address; `None` if it is longer than the kernel takes.
    ///
    /// # Safety
    ///
    /// A NUL-terminated string is there.
    pub unsafe fn at(address: u64) -> Option<Self> {
        let first = address as *const u8;
        let mut len = 0;
        while len < LONGEST {
            // SAFETY: no byte so far was the NUL, so that this one belongs to the string.
            if unsafe { first.add(len).read() } == 0 {
                // SAFETY: just read.
                return Some(Self(unsafe { core::slice::from_raw_parts(first, len) }));
            }
            len += 1;
        }
        None
    }

    /// Whether both name the same by their text: `//` and `/./` are `/`.
    pub fn is(self, other: &[u8]) -> bool {
        let (mut a, mut b) = (Components(self.0), Components(other));
        if self.0.first() == Some(&b'/') && other.first() != Some(&b'/')
            || self.0.first() != Some(&b'/') && other.first() == Some(&b'/')
        {
            return false;
        }
        loop {
            match (a.next(), b.next()) {
                (None, None) => return true,
                (a, b) if a != b => return false,
                _ => {}
            }
        }
    }

    /// What is before the last slash, and what is behind it.
    pub fn split(self) -> (Path<'a>, &'a [u8]) {
        match self.0.iter().rposition(|&byte| byte == b'/') {
            Some(at) => {
                let (directory, rest) = self.0.split_at(at);
                (Path(directory), rest.split_first().map_or(rest, |(_, rest)| rest))
            }
            None => (Path(&[]), self.0),
        }
    }
}

struct Components<'a>(&'a [u8]);

impl<'a> Iterator for Components<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            while let Some((b'/', rest)) = self.0.split_first() {
                self.0 = rest;
            }
            if self.0.is_empty() {
                return None;
            }
            let end = self.0.iter().position(|&byte| byte == b'/').unwrap_or(self.0.len());
            let (component, rest) = self.0.split_at_checked(end)?;
            self.0 = rest;
            if component != b"." {
                return Some(component);
            }
        }
    }
}
