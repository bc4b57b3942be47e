//! Which embedded file needs which: by the names that their dynamic sections hold.

use statify_elf::{ElfFile, page_up};
use statify_format::manifest::{EmbeddedFile, FileKind};

use crate::converted::open::Converted;

/// The most that a file's image may exceed the output by, in bytes: sizes come from the manifest.
const MOST_BEYOND: u64 = 64 << 20;

/// For each embedded file, the others that it needs, by index.
pub fn needed(converted: &Converted<'_>) -> Vec<Vec<usize>> {
    let files = &converted.manifest.files;
    let needs = |(own, file): (usize, &EmbeddedFile)| {
        let mut needs: Vec<usize> = Vec::new();
        let image = image(converted, file).unwrap_or_default();
        if let Ok(elf) = ElfFile::parse_any(&image) {
            let interpreter = elf.interpreter().ok().flatten().is_some();
            let loader = files.iter().position(|file| file.kind == FileKind::Loader);
            needs.extend(loader.filter(|_| interpreter));
            let dynamic = elf.dynamic().ok().flatten();
            for name in dynamic.iter().flat_map(|dynamic| dynamic.needed()) {
                needs.extend(
                    named(files, &String::from_utf8_lossy(name))
                        .or(loader.filter(|_| is_musl(name))),
                );
            }
        }
        needs.sort_unstable();
        needs.dedup();
        needs.retain(|&index| index != own);
        needs
    };
    files.iter().enumerate().map(needs).collect()
}

/// musl's loader is its C library, by whatever name.
fn is_musl(name: &[u8]) -> bool {
    name == b"libc.so" || name.starts_with(b"libc.musl")
}

/// The file that a name means: the SONAME of one, or else its path or the last part of that.
fn named(files: &[EmbeddedFile], name: &str) -> Option<usize> {
    let by_soname = files.iter().position(|file| file.soname.as_deref() == Some(name));
    by_soname.or_else(|| {
        files.iter().position(|file| {
            file.path.as_os_str() == name || file.path.file_name().is_some_and(|own| own == name)
        })
    })
}

/// A file's image as far as the output has it, at its own offsets.
fn image(converted: &Converted<'_>, file: &EmbeddedFile) -> Option<Vec<u8>> {
    let parts = file.memory.iter().filter_map(|memory| {
        let (offset, start) = (memory.file_offset?, memory.stored_at?);
        Some((offset, converted.part(start..start.checked_add(memory.size)?)?))
    });
    let parts: Vec<(u64, &[u8])> = parts.collect();
    let ends = parts.iter().map(|(offset, bytes)| offset.checked_add(bytes.len() as u64));
    let len = ends.collect::<Option<Vec<u64>>>()?.into_iter().max()?;
    let most = converted.bytes().len() as u64 + MOST_BEYOND;
    if len > most || len > page_up(file.size) {
        return None;
    }
    let mut image = vec![0; len as usize];
    for (offset, bytes) in parts {
        image[offset as usize..][..bytes.len()].copy_from_slice(bytes);
    }
    Some(image)
}
