//! The initial file system: a cpio archive in the "new" format
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use statify_tests::convert::Statify;
use statify_tests::machine;

use crate::fixtures::Case;
use crate::plan::{PLAN, Plan};

const DIRECTORY: u32 = 0o40_755;
const DEVICE: u32 = 0o20_600;
const REGULAR: u32 = 0o100_000;

/// The converted programs that are in every archive.
pub struct Tools {
    /// This program.
    init: PathBuf,
    /// Those that fixtures call, by where they lie in the machine.
    called: Vec<(&'static str, PathBuf)>,
}

/// What fixtures call.
const CALLED: &[(&str, &str)] = &[("/bin/sh", "sh"), ("/bin/tr", "tr")];

impl Tools {
    /// Converts them into `dir`.
    pub fn convert(statify: &Statify, dir: &Path) -> Result<Self> {
        let convert = |program: &Path, name: &str| -> Result<PathBuf> {
            let out = dir.join(name);
            statify.convert::<&str>(program, &out, &[])?;
            Ok(out)
        };
        let mut called = Vec::new();
        for (path, name) in CALLED {
            let program =
                machine::find_program(name).with_context(|| format!("{name} is missing"))?;
            let program = fs::canonicalize(program)?;
            called.push((*path, convert(&program, &format!("{name}.converted"))?));
        }
        Ok(Self { init: convert(&std::env::current_exe()?, "init.converted")?, called })
    }
}

/// Writes the archive for `cases` to `path`.
pub fn write(path: &Path, tools: &Tools, plan: &Plan, cases: &[&Case]) -> Result<()> {
    let mut archive = Archive {
        out: BufWriter::new(File::create(path)?),
        directories: BTreeSet::new(),
        inode: 0,
    };
    // What stands for the console until devtmpfs is mounted.
    archive.entry(Path::new("/dev"), DIRECTORY, &[], (0, 0))?;
    archive.entry(Path::new("/dev/console"), DEVICE, &[], (5, 1))?;
    archive.entry(Path::new("/dev/null"), DEVICE, &[], (1, 3))?;
    for empty in ["/tmp", "/etc", "/root"] {
        archive.entry(Path::new(empty), DIRECTORY, &[], (0, 0))?;
    }
    archive.file(Path::new("/init"), &tools.init)?;
    for (path, program) in &tools.called {
        archive.file(Path::new(path), program)?;
    }
    archive.parents(Path::new(PLAN))?;
    archive.entry(Path::new(PLAN), REGULAR | 0o644, &serde_json::to_vec(plan)?, (0, 0))?;
    for case in cases {
        archive.tree(&case.dir)?;
    }
    archive.finish()
}

struct Archive {
    out: BufWriter<File>,
    directories: BTreeSet<PathBuf>,
    inode: u32,
}

impl Archive {
    fn file(&mut self, name: &Path, from: &Path) -> Result<()> {
        self.parents(name)?;
        let bytes = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
        let mode = fs::metadata(from)?.permissions().mode() & 0o7777;
        Ok(self.entry(name, REGULAR | mode, &bytes, (0, 0))?)
    }

    /// A directory under its own name.
    fn tree(&mut self, dir: &Path) -> Result<()> {
        self.parents(&dir.join("x"))?;
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_dir() {
                self.tree(&path)?;
            } else {
                self.file(&path, &path)?;
            }
        }
        Ok(())
    }

    fn parents(&mut self, name: &Path) -> io::Result<()> {
        let parents: Vec<PathBuf> = name.ancestors().skip(1).map(Into::into).collect();
        for parent in parents.into_iter().rev().filter(|parent| parent.parent().is_some()) {
            self.entry(&parent, DIRECTORY, &[], (0, 0))?;
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

    fn finish(mut self) -> Result<()> {
        self.header(b"TRAILER!!!", 0, 0, 0, (0, 0))?;
        Ok(self.out.flush()?)
    }
}
