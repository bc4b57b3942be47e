//! Where an image is cut.

use std::fmt;
use std::str::FromStr;

use crate::size::{ChunkSize, bytes_of, shown};

/// Where an image is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunking {
    /// After every so many bytes.
    Fixed(ChunkSize),
    /// Where its contents say so: what is inserted or removed changes the chunks around it only.
    ContentDefined(Bounds),
}

/// How large chunks are whose contents say where they end, in bytes. The last one of an image may be smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    least: u32,
    average: u32,
    most: u32,
}

impl Chunking {
    /// No chunk has more bytes.
    pub fn most(self) -> u64 {
        match self {
            Self::Fixed(size) => size.bytes(),
            Self::ContentDefined(bounds) => bounds.most.into(),
        }
    }

    /// About how many bytes a chunk has.
    pub fn average(self) -> u64 {
        match self {
            Self::Fixed(size) => size.bytes(),
            Self::ContentDefined(bounds) => bounds.average.into(),
        }
    }
}

impl Bounds {
    /// No chunk may be smaller.
    const LEAST: u64 = 1 << 10;
    /// No bound may say that chunks smaller than this are none.
    const MOST_LEAST: u64 = 1 << 20;

    /// `None` unless 1 KiB <= least <= average <= most <= 4 MiB, and least <= 1 MiB.
    pub fn new(least: u64, average: u64, most: u64) -> Option<Self> {
        let is_possible = Self::LEAST <= least
            && least <= Self::MOST_LEAST.min(average)
            && average <= most
            && most <= ChunkSize::MOST.bytes();
        let narrow = |bytes| u32::try_from(bytes).ok();
        let (least, average, most) = (narrow(least)?, narrow(average)?, narrow(most)?);
        is_possible.then_some(Self { least, average, most })
    }

    /// The least.
    pub fn least(self) -> u32 {
        self.least
    }

    /// What chunks have on average, about.
    pub fn average(self) -> u32 {
        self.average
    }

    /// The most.
    pub fn most(self) -> u32 {
        self.most
    }
}

/// `16K:64K:256K`: what can be cut by. Images from elsewhere may have other bounds.
impl FromStr for Bounds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Option<Vec<u64>> = text.split(':').map(bytes_of).collect();
        let bounds = match numbers.as_deref() {
            Some(&[least, average, most]) => Self::new(least, average, most),
            _ => None,
        };
        // The algorithm takes two bytes at a time.
        let bounds = bounds.filter(|Self { least, average, most }| {
            [least, average, most].iter().all(|bytes| bytes.is_multiple_of(2))
        });
        bounds.ok_or_else(|| {
            "it is to be MIN:AVG:MAX, even numbers of bytes from 1K to 4M, none smaller than the one before it, MIN not over 1M"
                .into()
        })
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{}", shown(self.least), shown(self.average), shown(self.most))
    }
}

impl fmt::Display for Chunking {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => size.fmt(out),
            Self::ContentDefined(bounds) => bounds.fmt(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        let parse = |text: &str| text.parse::<Bounds>();
        assert_eq!(parse("16K:64K:256K"), Ok(Bounds::new(16 << 10, 64 << 10, 256 << 10).unwrap()));
        assert_eq!(parse("1K:1K:4M").unwrap().to_string(), "1K:1K:4M");
        assert_eq!(parse("1026:2050:4098").unwrap().to_string(), "1026:2050:4098");
        for text in [
            "",
            "64K",
            "16K:64K",
            "16K:64K:256K:1M",
            "64K:16K:256K",
            "16K:64K:32K",
            "512:64K:256K",
            "16K:64K:8M",
            "2M:2M:4M",
            "1025:64K:256K",
            "-1K:64K:256K",
            "x:y:z",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
