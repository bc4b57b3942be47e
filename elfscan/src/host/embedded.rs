//! The modules of a converted file, as they lie in its memory.

use statify_elf::{ElfError, ElfFile};
use statify_format::manifest::{FileKind, Manifest};

use super::module::{Bytes, Module};
use crate::converted::module::image;
use crate::extract;

/// The embedded files that are ELF files. One that cannot be read makes the whole output damaged:
/// nothing could be said of what it calls.
pub fn modules(output: &[u8], manifest: &Manifest) -> Result<Vec<Module>, ElfError> {
    if !extract::is_plausible(output, manifest) {
        return Err(ElfError::Damaged);
    }
    let mut modules = Vec::new();
    for file in &manifest.files {
        let bytes = image(output, file).ok_or(ElfError::Damaged)?;
        if file.kind == FileKind::Plugin && !bytes.starts_with(b"\x7fELF") {
            continue;
        }
        if ElfFile::parse_any(&bytes)?.dynamic()?.is_none() {
            return Err(ElfError::Damaged);
        }
        modules.push(Module { path: file.path.clone(), bytes: Bytes::Rebuilt(bytes) });
    }
    Ok(modules)
}
