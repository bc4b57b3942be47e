//! Images of both trees, and what they take up.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use nix::mount::{MntFlags, umount2};
use nix::sys::statvfs::statvfs;
use serde::{Deserialize, Serialize};

use crate::convert::{self, Run};
use crate::room::{Room, output};

/// What the file systems take up, in bytes.
#[derive(Debug, Serialize, Deserialize)]
pub struct Images {
    /// Blocks in use of the ext4 images.
    pub ext4: Sizes,
    /// The EROFS images, whose chunks of 4 KiB are stored once.
    pub erofs: Sizes,
    /// A conversion in place on btrfs; or why there is none.
    pub btrfs: std::result::Result<InPlace, String>,
}

/// A conversion in place, with reflinks and from the cache.
#[derive(Debug, Serialize, Deserialize)]
pub struct InPlace {
    /// Blocks in use of the file system.
    pub sizes: Sizes,
    /// What it took.
    pub run: Run,
}

/// Before and after.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Sizes {
    /// With the programs as Debian made them.
    pub normal: u64,
    /// With converted programs.
    pub converted: u64,
}

/// Where an image is.
pub fn path(room: &Room, system: &str, which: &str) -> PathBuf {
    room.images().join(format!("{which}.{system}"))
}

/// Makes them.
pub fn make(room: &Room, tool: &Path, scratch: &Path) -> Result<Images> {
    fs::create_dir_all(room.images())?;
    let trees = [("normal", room.root()), ("converted", room.converted())];
    let both = |system: &str, make: &dyn Fn(&Path, &Path) -> Result<u64>| -> Result<Sizes> {
        let mut sizes = [0; 2];
        for ((which, tree), size) in trees.iter().zip(&mut sizes) {
            let image = path(room, system, which);
            *size = room.once(&format!("image-{system}-{which}"), || make(tree, &image))?;
        }
        Ok(Sizes { normal: sizes[0], converted: sizes[1] })
    };
    Ok(Images {
        ext4: both("ext4", &ext4)?,
        erofs: both("erofs", &erofs)?,
        btrfs: room.once("image-btrfs", || btrfs(room, tool, scratch))?,
    })
}

fn ext4(tree: &Path, image: &Path) -> Result<u64> {
    // What mkfs.ext4 needs beside the files, and what the guest writes.
    const ROOM: u64 = 1 << 30;
    sparse(image, allocated(tree)? * 11 / 10 + ROOM)?;
    output(Command::new("mkfs.ext4").args(["-q", "-F", "-d"]).arg(tree).arg(image))?;
    let text = output(Command::new("dumpe2fs").arg("-h").arg(image))?;
    used(&String::from_utf8_lossy(&text)).context("dumpe2fs does not say how much is used")
}

/// Out of what dumpe2fs(8) says.
fn used(text: &str) -> Option<u64> {
    let number = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().parse().ok()
    };
    Some((number("Block count")? - number("Free blocks")?) * number("Block size")?)
}

fn erofs(tree: &Path, image: &Path) -> Result<u64> {
    let _ = fs::remove_file(image);
    output(Command::new("mkfs.erofs").args(["-d1", "--chunksize=4096"]).arg(image).arg(tree))?;
    Ok(fs::metadata(image)?.len())
}

/// On one file system, since clones share blocks only there.
fn btrfs(room: &Room, tool: &Path, scratch: &Path) -> Result<std::result::Result<InPlace, String>> {
    let image = room.images().join("btrfs");
    sparse(&image, 3 * (allocated(&room.root())? + allocated(&room.converted())?))?;
    output(Command::new("mkfs.btrfs").args(["-q", "-f"]).arg(&image))?;
    let at = scratch.join("btrfs");
    fs::create_dir(&at)?;
    if let Err(reason) = output(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&at)) {
        return Ok(Err(format!("{reason:#}")));
    }
    let mounted = Mounted(at);
    let tree = mounted.0.join("root");
    output(Command::new("cp").args(["-a", "--reflink=never"]).arg(room.root()).arg(&tree))?;
    let normal = mounted.used()?;
    let mut command = Command::new(tool);
    command.arg("convert").arg(&tree).args(["--in-place", "--no-backup", "--reflink=always"]);
    command.arg("--cache").arg(room.cache());
    let run = convert::run(&mut command, &room.results().join("convert-btrfs.log"))?;
    let converted = mounted.used()?;
    drop(mounted);
    fs::remove_file(image)?;
    // No other conversion is like these.
    room.remove(&room.cache())?;
    Ok(Ok(InPlace { sizes: Sizes { normal, converted }, run }))
}

/// A mounted file system, as long as it lives.
struct Mounted(PathBuf);

impl Mounted {
    fn used(&self) -> Result<u64> {
        output(Command::new("btrfs").args(["filesystem", "sync"]).arg(&self.0))?;
        let stat = statvfs(&self.0)?;
        Ok((stat.blocks() - stat.blocks_free()) * stat.fragment_size())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(error) = umount2(&self.0, MntFlags::MNT_DETACH) {
            eprintln!("guest: {} stays mounted: {error}", self.0.display());
        }
    }
}

fn sparse(image: &Path, size: u64) -> Result<()> {
    let file = File::create(image).with_context(|| format!("writing {}", image.display()))?;
    // Whole sectors, of whatever disk.
    Ok(file.set_len(size.next_multiple_of(1 << 20))?)
}

/// What a tree's files take up here, hard links once.
fn allocated(tree: &Path) -> Result<u64> {
    let text = output(Command::new("du").args(["-s", "-B1"]).arg(tree))?;
    let text = String::from_utf8(text)?;
    text.split_whitespace().next().and_then(|number| number.parse().ok()).context("du(1)")
}

#[cfg(test)]
mod tests {
    #[test]
    fn used_blocks() {
        let text = "Block count:              100\nReserved block count:     5\n\
                    Free blocks:              40\nBlock size:               4096\n";
        assert_eq!(super::used(text), Some(60 * 4096));
        assert_eq!(super::used(""), None);
    }
}
