//! Which ways to hash a page there are.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How what a page holds is told in 16 bytes. Snapshots have its number in this list: new ones come last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// XXH3, 128 bits: as fast as memory is read. Whoever guesses a page's contents can see that it is them.
    Xxh3_128,
    /// BLAKE3 with a key, the first 128 bits: nobody without the key can tell what a page holds.
    Keyed,
    /// Twelve single bytes of the page, those at powers of two (the paper's 4.1.2).
    SimplePattern,
    /// Paul Hsieh's SuperFastHash, 32 bits.
    SuperFastHash,
    /// CRC-32 as Ethernet and gzip have it (IEEE 802.3), 32 bits.
    Crc32,
    /// The same of each quarter of the page: 128 bits (the paper's 4.1.2).
    Crc32Ex,
    /// XXH3, 64 bits.
    Xxh3_64,
    /// MD5 (RFC 1321), 128 bits.
    Md5,
    /// SHA-1 (FIPS 180-4), the first 128 of its 160 bits.
    Sha1,
    /// BLAKE3 without a key, the first 128 of its 256 bits.
    Blake3,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Xxh3_128,
        Self::Keyed,
        Self::SimplePattern,
        Self::SuperFastHash,
        Self::Crc32,
        Self::Crc32Ex,
        Self::Xxh3_64,
        Self::Md5,
        Self::Sha1,
        Self::Blake3,
    ];

    /// Its name on the command line and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xxh3_128 => "xxh3-128",
            Self::Keyed => "blake3-keyed",
            Self::SimplePattern => "simple-pattern",
            Self::SuperFastHash => "superfasthash",
            Self::Crc32 => "crc32",
            Self::Crc32Ex => "crc32-ex",
            Self::Xxh3_64 => "xxh3-64",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Blake3 => "blake3",
        }
    }

    /// How many bits of its result are told.
    pub fn bits(self) -> u32 {
        match self {
            Self::SuperFastHash | Self::Crc32 => 32,
            Self::Xxh3_64 => 64,
            Self::SimplePattern => 96,
            _ => 128,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is none of theirs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such hash; there are {}", Algorithm::ALL.map(Algorithm::name).join(", "))]
pub struct UnknownAlgorithm;

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name).ok_or(UnknownAlgorithm)
    }
}

/// For `--hash`. The keyed one is not among them: a key chooses it.
#[cfg(feature = "command-line")]
impl clap::ValueEnum for Algorithm {
    fn value_variants<'a>() -> &'a [Self] {
        const UNKEYED: [Algorithm; 9] = [
            Algorithm::Xxh3_128,
            Algorithm::Xxh3_64,
            Algorithm::Blake3,
            Algorithm::Sha1,
            Algorithm::Md5,
            Algorithm::Crc32Ex,
            Algorithm::Crc32,
            Algorithm::SuperFastHash,
            Algorithm::SimplePattern,
        ];
        &UNKEYED
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_keep_their_numbers() {
        for (number, algorithm) in Algorithm::ALL.into_iter().enumerate() {
            assert_eq!(postcard::to_stdvec(&algorithm).unwrap(), [number as u8], "{algorithm}");
            assert_eq!(algorithm.name().parse(), Ok(algorithm));
        }
        let error = "sha-3".parse::<Algorithm>().unwrap_err().to_string();
        assert!(error.contains("xxh3-128") && error.contains("blake3"), "{error}");
    }
}
