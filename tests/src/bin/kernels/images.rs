//! Kernel images.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// A bzImage.
#[derive(Debug, Clone)]
pub struct Image {
    /// What uname -r says of it.
    pub release: String,
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
        let release = release(&bytes).with_context(|| format!("{name} is no bzImage"))?;
        Ok(Self { release, path })
    }
}

/// The release in a bzImage's header (Documentation/arch/x86/boot.rst).
fn release(bytes: &[u8]) -> Option<String> {
    const SIGNATURE: usize = 0x202;
    const KERNEL_VERSION: usize = 0x20e;
    /// What `kernel_version` counts from.
    const SECTOR: usize = 0x200;
    if bytes.get(SIGNATURE..)?.get(..4)? != b"HdrS" {
        return None;
    }
    let at = u16::from_le_bytes(*bytes.get(KERNEL_VERSION..)?.first_chunk()?);
    let text = bytes.get(SECTOR + usize::from(at)..)?;
    let word = text.split(|byte| *byte == b' ' || *byte == 0).next()?;
    Some(str::from_utf8(word).ok()?.into())
}

/// The kernel is in /boot, from Linux 7 on in /usr/lib/modules.
fn unpack(package: &Path, cache: &Path) -> Result<PathBuf> {
    let dir = cache.join(package.file_stem().context("a package without a name")?);
    let image = dir.join("vmlinuz");
    if image.is_file() {
        return Ok(image);
    }
    fs::create_dir_all(&dir)?;
    let mut contents = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .context("starting dpkg-deb")?;
    let from = contents.stdout.take().context("dpkg-deb says nothing")?;
    let status = Command::new("tar")
        .arg("-C")
        .arg(&dir)
        .args(["-x", "--transform=s,.*/,,", "--wildcards", "*/vmlinuz*"])
        .stdin(from)
        .status()
        .context("starting tar")?;
    ensure!(contents.wait()?.success() && status.success(), "it holds no kernel");
    let unpacked = fs::read_dir(&dir)?.next().context("it holds no kernel")??.path();
    fs::rename(unpacked, &image)?;
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
    fn finds_the_release() {
        let mut image = vec![0; 0x1000];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x20e..0x210].copy_from_slice(&0x600u16.to_le_bytes());
        image[0x800..0x80c].copy_from_slice(b"6.1.0 (a@b)\0");
        assert_eq!(release(&image).as_deref(), Some("6.1.0"));
        image[0x202] = 0;
        assert_eq!(release(&image), None);
        assert_eq!(release(b""), None);
    }
}
