//! The files that were embedded, and their debug files, where those are still there.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use sha2::{Digest, Sha256};
use statify_elf::ElfFile;
use statify_elf::holes;
use statify_format::manifest::{EmbeddedFile, hex};
use statify_room::Root;

/// Where debuggers look for debug files (GDB manual, "Debugging Information in Separate Files").
const DEBUG: &str = "/usr/lib/debug/.build-id";

/// A file that is known to be the one.
#[derive(Debug)]
pub struct Original {
    /// Its bytes.
    pub bytes: Mmap,
    /// Its permission bits.
    pub mode: u32,
}

/// The original of an embedded file: at its path, with its SHA-256.
pub fn original(root: &Root, file: &EmbeddedFile) -> Option<Original> {
    let original = map(root, &file.path)?;
    let same = original.bytes.len() as u64 == file.size
        && hex(&Sha256::digest(&original.bytes)) == file.sha256;
    same.then_some(original)
}

/// The separate debug file of an embedded file: with its build-id.
pub fn debug_file(root: &Root, file: &EmbeddedFile) -> Option<Mmap> {
    let id = file.build_id.as_deref()?;
    let is_id = id.len() > 2 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (first, rest) = is_id.then(|| id.split_at(2))?;
    let path = Path::new(DEBUG).join(first).join(format!("{rest}.debug"));
    let found = map(root, &path)?;
    let own = ElfFile::parse_any(&found.bytes).ok().and_then(|elf| elf.build_id());
    // Debug files keep the note's section; its segment may be cut off.
    (own.is_none_or(|own| hex(&own) == id)).then_some(found.bytes)
}

fn map(root: &Root, path: &Path) -> Option<Original> {
    let path: PathBuf = path.into();
    let found = root.find(&path).ok()?;
    // A FIFO or a device is not opened.
    let metadata = found.link().metadata().ok().filter(|metadata| metadata.is_file())?;
    let file = File::open(found.link()).ok()?;
    holes::check(&file).ok()?;
    // SAFETY: the bytes are only read as bytes; a file that shrinks meanwhile ends the process,
    // as it does for every tool that maps files.
    let bytes = unsafe { Mmap::map(&file) }.ok()?;
    Some(Original { bytes, mode: metadata.permissions().mode() & 0o777 })
}
