//! What stands at a name now: told by contents, whatever the journal says.

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::Mmap;
use statify_elf::ElfFile;
use statify_files::contents;
use statify_format::manifest::hex;

use crate::journal::record::{Original, Replacement};
use crate::tree::{FileId, Name, id};

/// Which of the files that a replacement knows stands there, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The original.
    Original(FileId),
    /// What it was replaced by.
    Converted(FileId),
    /// Something else that came later.
    Other,
    /// Nothing.
    Missing,
}

/// What stands at `name`, as far as `replacement` knows it.
pub fn of(name: &Name, replacement: &Replacement) -> io::Result<State> {
    let path = name.at();
    let stat = match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::Missing),
        other => other?,
    };
    if !stat.is_file() {
        return Ok(State::Other);
    }
    let (original, converted) = (&replacement.original, &replacement.converted);
    if stat.len() == converted.size
        && build_id(&contents::open(&path)?)?.as_ref() == Some(&converted.build_id)
    {
        return Ok(State::Converted(id(&stat)));
    }
    if stat.len() == original.size && holds(&path, &original.sha256)? {
        return Ok(State::Original(id(&stat)));
    }
    Ok(State::Other)
}

/// Whether a file is this original.
pub fn is(file: &File, original: &Original) -> io::Result<bool> {
    Ok(file.metadata()?.len() == original.size && contents::sha256(file)? == original.sha256)
}

/// Whether a file's SHA-256 is this.
pub fn holds(path: &Path, sha256: &str) -> io::Result<bool> {
    Ok(contents::sha256(&contents::open(path)?)? == sha256)
}

/// The build-id of an ELF file, in hexadecimal.
pub fn build_id(file: &File) -> io::Result<Option<String>> {
    if file.metadata()?.len() == 0 {
        return Ok(None);
    }
    // SAFETY: the bytes are only read as bytes.
    let bytes = unsafe { Mmap::map(file) }?;
    Ok(ElfFile::parse(&bytes).ok().and_then(|elf| elf.build_id()).map(|id| hex(&id)))
}
