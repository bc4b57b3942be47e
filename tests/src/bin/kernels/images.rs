//! Kernel images.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::deb;

/// A bzImage.
#[derive(Debug, Clone)]
pub struct Image {
    /// What uname -r says of it.
    pub release: String,
    /// Whether it is for CPUs of 32 bits, and runs no other programs.
    pub narrow: bool,
    /// The file.
    pub path: PathBuf,
}

impl Image {
    /// The kernel in `file`: an image, or a Debian package with one, which is unpacked into `cache`.
    pub fn open(file: &Path, cache: &Path) -> Result<Self> {
        let name = file.display();
        let path = match file.extension() {
            Some(extension) if extension == "deb" => {
                unpack(file, cache).with_context(|| format!("unpacking {name}"))?
            }
            _ => file.to_owned(),
        };
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let header = Header::read(&bytes).with_context(|| format!("{name} is no bzImage"))?;
        Ok(Self { release: header.release, narrow: header.narrow, path })
    }
}

/// What a bzImage's header says (Documentation/arch/x86/boot.rst).
struct Header {
    release: String,
    narrow: bool,
}

impl Header {
    /// `None` if it has none.
    fn read(bytes: &[u8]) -> Option<Self> {
        const SIGNATURE: usize = 0x202;
        const KERNEL_VERSION: usize = 0x20e;
        /// What `kernel_version` counts from.
        const SECTOR: usize = 0x200;
        const XLOADFLAGS: usize = 0x236;
        /// There is an entry point of 64 bits.
        const XLF_KERNEL_64: u8 = 1;
        if bytes.get(SIGNATURE..)?.get(..4)? != b"HdrS" {
            return None;
        }
        let at = u16::from_le_bytes(*bytes.get(KERNEL_VERSION..)?.first_chunk()?);
        let text = bytes.get(SECTOR + usize::from(at)..)?;
        let word = text.split(|byte| *byte == b' ' || *byte == 0).next()?;
        Some(Self {
            release: str::from_utf8(word).ok()?.into(),
            narrow: bytes.get(XLOADFLAGS)? & XLF_KERNEL_64 == 0,
        })
    }
}

/// The kernel is in /boot, from Linux 7 on in /usr/lib/modules.
fn unpack(package: &Path, cache: &Path) -> Result<PathBuf> {
    let dir = cache.join(package.file_stem().context("a package without a name")?);
    let image = dir.join("vmlinuz");
    if !image.is_file() {
        let unpacked = deb::unpack(package, "*/vmlinuz*", &dir)?;
        fs::rename(unpacked, &image)?;
    }
    Ok(image)
}

/// Releases in the order of their numbers.
pub fn order(release: &str) -> Vec<u64> {
    release.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_ordered_by_number() {
        assert!(order("4.15.0-213-generic") < order("5.4.0-1-generic"));
        assert!(order("6.1.0-47-amd64") < order("6.12.9-amd64"));
    }

    #[test]
    fn reads_the_header() {
        let said = |image: &[u8]| Header::read(image).map(|header| (header.release, header.narrow));
        let mut image = vec![0; 0x1000];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x20e..0x210].copy_from_slice(&0x600u16.to_le_bytes());
        image[0x800..0x80c].copy_from_slice(b"6.1.0 (a@b)\0");
        assert_eq!(said(&image), Some(("6.1.0".into(), true)));
        image[0x236] = 1;
        assert_eq!(said(&image), Some(("6.1.0".into(), false)));
        image[0x202] = 0;
        assert_eq!(said(&image), None);
        assert_eq!(said(b""), None);
    }
}
