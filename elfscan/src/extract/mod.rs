//! The files embedded in a converted one, as files again, and what debuggers and profilers need to
//! name the functions of the converted one.
//!
//! [`restore`] takes back what relocation wrote, [`sections`] makes section headers, [`file`] puts
//! them together; [`debug_file`] is one file with the [`symbols`] and unwinding tables
//! ([`frames`]) of all modules. [`tree`] is where they are written to.

pub mod addends;
pub mod anchor;
pub mod debug_file;
mod error;
pub mod file;
mod frames;
pub mod gdb;
pub mod originals;
mod restore;
mod sections;
mod symbols;
mod table;
#[cfg(test)]
mod tests;
pub mod tree;

pub use error::Error;

#[cfg(any(test, fuzzing))]
use statify_elf::ElfFile;
use statify_format::manifest::Manifest;

/// Whether the embedded files have, all together, no more memory than the output has bytes: each page
/// belongs to one of them.
pub fn is_plausible(output: &[u8], manifest: &Manifest) -> bool {
    let stored = manifest.files.iter().flat_map(|file| &file.memory);
    let stored = stored.filter(|memory| memory.stored_at.is_some()).map(|memory| memory.size);
    let sum = stored.fold(0u64, u64::saturating_add);
    sum <= output.len() as u64
}

/// Everything that can be made of a converted file's bytes, which may be any. For tests and for fuzzing.
#[cfg(any(test, fuzzing))]
pub fn everything(output: &[u8]) {
    let manifest = ElfFile::parse_known(output).ok().and_then(|elf| Manifest::read(&elf));
    let Some(manifest) = manifest.filter(|manifest| is_plausible(output, manifest)) else { return };
    let addends = addends::Addends::of(output, &manifest);
    for embedded in &manifest.files {
        let _ = file::rebuild(output, embedded, &addends);
    }
    let _ = debug_file::make(output, &manifest, |_| true, |_| Vec::new());
}
