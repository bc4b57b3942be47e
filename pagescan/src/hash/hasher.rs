//! Computes what a page holds.

use md5::{Digest, Md5};
use sha1::Sha1;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::algorithm::Algorithm;
use super::crc32_ex::crc32_ex;
use super::page_hash::PageHash;
use super::simple_pattern::simple_pattern;
use super::super_fast_hash::super_fast_hash;

/// An algorithm with all that it needs. The numbers that CRCs and SuperFastHash result in have their lowest byte first, those of
/// XXH3 their highest, as in its canonical form.
#[derive(Clone, Debug)]
pub enum Hasher {
    /// As [`Algorithm::Xxh3_128`].
    Xxh3_128,
    /// As [`Algorithm::Keyed`], with its key.
    Keyed(Box<[u8; 32]>),
    /// As [`Algorithm::SimplePattern`].
    SimplePattern,
    /// As [`Algorithm::SuperFastHash`].
    SuperFastHash,
    /// As [`Algorithm::Crc32`].
    Crc32,
    /// As [`Algorithm::Crc32Ex`].
    Crc32Ex,
    /// As [`Algorithm::Xxh3_64`].
    Xxh3_64,
    /// As [`Algorithm::Md5`].
    Md5,
    /// As [`Algorithm::Sha1`].
    Sha1,
    /// As [`Algorithm::Blake3`].
    Blake3,
}

impl Hasher {
    /// That of an algorithm; none for the keyed one, which is made of its key.
    pub fn unkeyed(algorithm: Algorithm) -> Option<Self> {
        Some(match algorithm {
            Algorithm::Xxh3_128 => Self::Xxh3_128,
            Algorithm::Keyed => return None,
            Algorithm::SimplePattern => Self::SimplePattern,
            Algorithm::SuperFastHash => Self::SuperFastHash,
            Algorithm::Crc32 => Self::Crc32,
            Algorithm::Crc32Ex => Self::Crc32Ex,
            Algorithm::Xxh3_64 => Self::Xxh3_64,
            Algorithm::Md5 => Self::Md5,
            Algorithm::Sha1 => Self::Sha1,
            Algorithm::Blake3 => Self::Blake3,
        })
    }

    /// Which it is.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Xxh3_128 => Algorithm::Xxh3_128,
            Self::Keyed(_) => Algorithm::Keyed,
            Self::SimplePattern => Algorithm::SimplePattern,
            Self::SuperFastHash => Algorithm::SuperFastHash,
            Self::Crc32 => Algorithm::Crc32,
            Self::Crc32Ex => Algorithm::Crc32Ex,
            Self::Xxh3_64 => Algorithm::Xxh3_64,
            Self::Md5 => Algorithm::Md5,
            Self::Sha1 => Algorithm::Sha1,
            Self::Blake3 => Algorithm::Blake3,
        }
    }

    /// By which snapshots that were taken with the same key are told from others. Tells nothing of the key.
    pub fn key_id(&self) -> Option<[u8; 8]> {
        let Self::Keyed(key) = self else { return None };
        let id = blake3::derive_key("pagescan 1 key id", &key[..]);
        id.first_chunk().copied()
    }

    /// That of a page.
    pub fn hash(&self, page: &[u8]) -> PageHash {
        match self {
            Self::Xxh3_128 => PageHash(xxh3_128(page).to_be_bytes()),
            Self::Keyed(key) => PageHash::of_result(blake3::keyed_hash(key, page).as_bytes()),
            Self::SimplePattern => PageHash::of_result(&simple_pattern(page)),
            Self::SuperFastHash => PageHash::of_result(&super_fast_hash(page).to_le_bytes()),
            Self::Crc32 => PageHash::of_result(&crc32fast::hash(page).to_le_bytes()),
            Self::Crc32Ex => PageHash(crc32_ex(page)),
            Self::Xxh3_64 => PageHash::of_result(&xxh3_64(page).to_be_bytes()),
            Self::Md5 => PageHash(Md5::digest(page).into()),
            Self::Sha1 => PageHash::of_result(&Sha1::digest(page)),
            Self::Blake3 => PageHash::of_result(blake3::hash(page).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(hash: PageHash) -> String {
        hash.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Check values: of CRC-32 in the catalogue of parametrised CRC algorithms, of MD5 in RFC 1321 (A.5), of SHA-1 in FIPS 180
    /// (the one of "abc"), of BLAKE3 and XXH3 of nothing in their test vectors.
    #[test]
    fn known_values() {
        let known = [
            (Hasher::Crc32, "123456789", "2639f4cb000000000000000000000000"),
            (Hasher::Md5, "abc", "900150983cd24fb0d6963f7d28e17f72"),
            (Hasher::Sha1, "abc", "a9993e364706816aba3e25717850c26c"),
            (Hasher::Blake3, "", "af1349b9f5f9a1a6a0404dea36dcc949"),
            (Hasher::Xxh3_64, "", "2d06800538d394c20000000000000000"),
            (Hasher::Xxh3_128, "", "99aa06d3014798d86001c324468d497f"),
        ];
        for (hasher, text, hash) in known {
            assert_eq!(hex(hasher.hash(text.as_bytes())), hash, "{}", hasher.algorithm());
        }
    }

    #[test]
    fn each_algorithm_has_its_hasher() {
        let mut seen = std::collections::HashSet::new();
        let page: Vec<u8> = (0..4096).map(|i| (i % 251) as u8).collect();
        for algorithm in Algorithm::ALL {
            let hasher = Hasher::unkeyed(algorithm).unwrap_or(Hasher::Keyed(Box::new([1; 32])));
            assert_eq!(hasher.algorithm(), algorithm);
            let hash = hasher.hash(&page);
            assert!(seen.insert(hash), "{algorithm}");
            let rest = (algorithm.bits() / 8) as usize;
            assert!(hash.0[rest..].iter().all(|&byte| byte == 0), "{algorithm}");
        }
        assert_ne!(
            Hasher::Keyed(Box::new([1; 32])).hash(&page),
            Hasher::Keyed(Box::new([2; 32])).hash(&page)
        );
    }
}
