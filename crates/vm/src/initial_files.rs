//! An initial file system for a kernel: a cpio archive in the "new" format
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

const DIRECTORY: u32 = 0o40_755;
const DEVICE: u32 = 0o20_600;
const REGULAR: u32 = 0o100_000;

/// An archive that is written. Names are those in the machine, from `/` on; directories above a file
/// are made.
pub struct Archive {
    out: BufWriter<File>,
    directories: BTreeSet<PathBuf>,
    inode: u32,
}

impl Archive {
    /// Begins one, with what stands for the console until devtmpfs is mounted.
    pub fn create(path: &Path) -> Result<Self> {
        let begin = || -> io::Result<Self> {
            let out = BufWriter::new(File::create(path)?);
            let mut archive = Self { out, directories: BTreeSet::new(), inode: 0 };
            archive.directory(Path::new("/dev"))?;
            archive.entry(Path::new("/dev/console"), DEVICE, &[], (5, 1))?;
            archive.entry(Path::new("/dev/null"), DEVICE, &[], (1, 3))?;
            Ok(archive)
        };
        begin().map_err(|error| Error::File(path.to_owned(), error))
    }

    /// A directory.
    pub fn directory(&mut self, name: &Path) -> io::Result<()> {
        self.entry(name, DIRECTORY, &[], (0, 0))
    }

    /// A file with these contents.
    pub fn contents(&mut self, name: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
        self.parents(name)?;
        self.entry(name, REGULAR | mode, bytes, (0, 0))
    }

    /// A file of this machine, with its mode.
    pub fn file(&mut self, name: &Path, from: &Path) -> Result<()> {
        let mut add = || -> io::Result<()> {
            let mode = fs::metadata(from)?.permissions().mode() & 0o7777;
            self.contents(name, mode, &fs::read(from)?)
        };
        add().map_err(|error| Error::File(from.to_owned(), error))
    }

    /// A directory under its own name.
    pub fn tree(&mut self, dir: &Path) -> Result<()> {
        let of_dir = |error| Error::File(dir.to_owned(), error);
        self.parents(&dir.join("x")).map_err(of_dir)?;
        for entry in fs::read_dir(dir).map_err(of_dir)? {
            let path = entry.map_err(of_dir)?.path();
            if path.is_dir() {
                self.tree(&path)?;
            } else {
                self.file(&path, &path)?;
            }
        }
        Ok(())
    }

    /// Writes the end.
    pub fn finish(mut self) -> io::Result<()> {
        self.header(b"TRAILER!!!", 0, 0, 0, (0, 0))?;
        self.out.flush()
    }

    fn parents(&mut self, name: &Path) -> io::Result<()> {
        let parents: Vec<PathBuf> = name.ancestors().skip(1).map(Into::into).collect();
        for parent in parents.into_iter().rev().filter(|parent| parent.parent().is_some()) {
            self.directory(&parent)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        name: &Path,
        mode: u32,
        bytes: &[u8],
        device: (u32, u32),
    ) -> io::Result<()> {
        if mode == DIRECTORY && !self.directories.insert(name.to_owned()) {
            return Ok(());
        }
        self.inode += 1;
        let name = name.strip_prefix("/").unwrap_or(name).as_os_str().as_encoded_bytes();
        self.header(name, self.inode, mode, bytes.len(), device)?;
        self.out.write_all(bytes)?;
        self.pad(bytes.len())
    }

    fn header(
        &mut self,
        name: &[u8],
        inode: u32,
        mode: u32,
        len: usize,
        device: (u32, u32),
    ) -> io::Result<()> {
        /// Of magic number and thirteen fields of eight digits.
        const HEADER: usize = 6 + 13 * 8;
        let name_len = name.len() + 1;
        // Inode, mode, owner, group, links, time, length, device of the file system, device, name's
        // length, checksum (of another format).
        let fields =
            [inode, mode, 0, 0, 1, 0, len as u32, 0, 0, device.0, device.1, name_len as u32, 0];
        self.out.write_all(b"070701")?;
        for field in fields {
            write!(self.out, "{field:08x}")?;
        }
        self.out.write_all(name)?;
        self.out.write_all(&[0])?;
        self.pad(HEADER + name_len)
    }

    /// Everything begins at a multiple of four.
    fn pad(&mut self, len: usize) -> io::Result<()> {
        self.out.write_all(&[0; 3][..len.next_multiple_of(4) - len])
    }
}
