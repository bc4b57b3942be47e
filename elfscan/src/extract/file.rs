//! An embedded module as a file that tools read.

use statify_elf::ElfFile;
use statify_format::manifest::EmbeddedFile;

use super::addends::Addends;
use super::{restore, sections, table};
use crate::converted::module;

/// The file's bytes: of a plugin the whole file; of what is loaded from the start, its loaded parts,
/// what relocation wrote put back, with section headers of our own.
/// `None` as for [`module::image`]. `addends` are the output's.
pub fn rebuild(output: &[u8], file: &EmbeddedFile, addends: &Addends) -> Option<Vec<u8>> {
    let mut module = module::rebuild(output, file)?;
    if module.addresses.is_none() {
        return Some(module.image);
    }
    restore::restore(&mut module, file, addends);
    let mut bytes = module.image;
    let (len, table, is_64) = {
        let elf = ElfFile::parse_any(&bytes).ok()?;
        let ends = elf.loads().map(|load| load.p_offset.saturating_add(load.p_filesz));
        (ends.max()?, sections::sections(&elf), elf.is_64())
    };
    // Behind the last segment, its last page has what is no part of the file.
    bytes.truncate(usize::try_from(len).ok()?);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let position = table.append(&mut bytes, is_64);
    table::put_position(&mut bytes, position);
    Some(bytes)
}
