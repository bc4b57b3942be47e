//! How large chunks are.

use std::fmt;
use std::str::FromStr;

/// A power of two from 4 KiB to 4 MiB, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChunkSize(u32);

impl ChunkSize {
    /// The least.
    pub const LEAST: Self = Self(4 << 10);
    /// The most.
    pub const MOST: Self = Self(4 << 20);

    /// `None` if chunks may not be of so many bytes.
    pub fn new(bytes: u64) -> Option<Self> {
        let bytes = u32::try_from(bytes).ok().filter(|bytes| bytes.is_power_of_two())?;
        Some(Self(bytes)).filter(|size| (Self::LEAST..=Self::MOST).contains(size))
    }

    /// In bytes.
    pub fn bytes(self) -> u64 {
        self.0.into()
    }
}

impl Default for ChunkSize {
    fn default() -> Self {
        Self(64 << 10)
    }
}

/// `4K`, `64K`, `1M`, or a number of bytes.
impl FromStr for ChunkSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = bytes_of(text).and_then(Self::new);
        size.ok_or_else(|| "it is to be a power of two from 4K to 4M".into())
    }
}

/// A number of bytes: `4K`, `1M` or `4096`.
pub(crate) fn bytes_of(text: &str) -> Option<u64> {
    let (digits, unit) = match text.strip_suffix(['K', 'k']) {
        Some(digits) => (digits, 1 << 10),
        None => text.strip_suffix(['M', 'm']).map_or((text, 1), |digits| (digits, 1 << 20)),
    };
    // `parse` would take a sign.
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse::<u64>().ok().filter(|_| is_number);
    number.and_then(|number| number.checked_mul(unit))
}

/// The same as text, as short as it can be.
pub(crate) fn shown(bytes: u32) -> String {
    match bytes {
        bytes if bytes > 0 && bytes.is_multiple_of(1 << 20) => format!("{}M", bytes >> 20),
        bytes if bytes > 0 && bytes.is_multiple_of(1 << 10) => format!("{}K", bytes >> 10),
        bytes => bytes.to_string(),
    }
}

impl fmt::Display for ChunkSize {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&shown(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [("4K", 4096), ("64k", 65536), ("4M", 4 << 20), ("8192", 8192)] {
            assert_eq!(text.parse::<ChunkSize>().map(ChunkSize::bytes), Ok(bytes), "{text}");
        }
        for text in ["", "2K", "8M", "5K", "-4K", "K", "18446744073709551615M"] {
            assert!(text.parse::<ChunkSize>().is_err(), "{text}");
        }
        assert_eq!(ChunkSize::default().to_string(), "64K");
    }
}
