//! Digests: what blobs are named for (OCI image specification, descriptor.md, "Digests").

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256, Sha512};
use statify_format::manifest::hex;

/// One, of an algorithm that is known here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    hex: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    fn named(name: &str) -> Option<Self> {
        match name {
            "sha256" => Some(Self::Sha256),
            "sha512" => Some(Self::Sha512),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

impl Digest {
    /// `None` if it is none, or of another algorithm.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, hex) = text.split_once(':')?;
        Self::new(name, hex)
    }

    /// Of an algorithm's name and digits, which are those of a blob's path, too.
    pub fn new(name: &str, hex: &str) -> Option<Self> {
        let algorithm = Algorithm::named(name)?;
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let good = hex.len() == algorithm.digits() && hex.bytes().all(is_digit);
        good.then(|| Self { algorithm, hex: hex.into() })
    }

    /// Where it lies in a layout.
    pub fn path(&self) -> PathBuf {
        Path::new("blobs").join(self.algorithm.name()).join(&self.hex)
    }

    /// Whether these contents have it.
    pub(crate) fn is_of(&self, file: &mut File) -> io::Result<bool> {
        statify_elf::holes::check_holes(file)?;
        let mut hash = Hashed::new(io::sink(), self);
        io::copy(file, &mut hash)?;
        Ok(hash.digest() == *self)
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

#[derive(Debug, Clone)]
enum Hash {
    Sha256(Sha256),
    Sha512(Sha512),
}

/// Hashes what is read or written through it.
#[derive(Debug)]
pub(crate) struct Hashed<T> {
    inner: T,
    hash: Hash,
    len: u64,
}

impl<T> Hashed<T> {
    /// By the algorithm of `like`.
    pub fn new(inner: T, like: &Digest) -> Self {
        let hash = match like.algorithm {
            Algorithm::Sha256 => Hash::Sha256(Sha256::new()),
            Algorithm::Sha512 => Hash::Sha512(Sha512::new()),
        };
        Self { inner, hash, len: 0 }
    }

    /// By SHA-256.
    pub fn sha256(inner: T) -> Self {
        Self { inner, hash: Hash::Sha256(Sha256::new()), len: 0 }
    }

    /// Of all until now.
    pub fn digest(&self) -> Digest {
        let (algorithm, hex) = match self.hash.clone() {
            Hash::Sha256(hash) => (Algorithm::Sha256, hex(&hash.finalize())),
            Hash::Sha512(hash) => (Algorithm::Sha512, hex(&hash.finalize())),
        };
        Digest { algorithm, hex }
    }

    /// How many bytes that were.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// What it reads from or writes to.
    pub fn into_inner(self) -> T {
        self.inner
    }

    fn see(&mut self, bytes: &[u8]) {
        match &mut self.hash {
            Hash::Sha256(hash) => hash.update(bytes),
            Hash::Sha512(hash) => hash.update(bytes),
        }
        self.len += bytes.len() as u64;
    }
}

impl<T: Read> Read for Hashed<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buffer)?;
        self.see(&buffer[..len]);
        Ok(len)
    }
}

impl<T: Write> Write for Hashed<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.inner.write(bytes)?;
        self.see(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_digests() {
        let digits = "0".repeat(64);
        assert!(Digest::parse(&format!("sha256:{digits}")).is_some());
        for text in ["", "sha256:", "sha256:../../etc/passwd", "md5:00"] {
            assert_eq!(Digest::parse(text), None);
        }
        assert_eq!(Digest::parse(&format!("sha256:{}A", &digits[1..])), None);
        assert_eq!(Digest::parse(&format!("sha512:{digits}")), None);
    }
}
