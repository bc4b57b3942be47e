//! Pages of a file.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Error as IoError, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use goblin::container::{Container, Ctx, Endian};
use goblin::elf64::header::{EI_CLASS, EI_DATA, ELFCLASS64, ELFDATA2LSB, ELFMAG, Header};
use goblin::elf64::program_header::{PT_LOAD, SIZEOF_PHDR};

use super::pages::{PAGE, Pages};
use crate::{Error, Result};

/// An image of memory: page after page, as QEMU's `pmemsave` writes it, or an ELF core file, as its `dump-guest-memory` does (of 64 bits, the
/// lowest byte first). What is behind the last whole page of a part is filled up with zeros.
#[derive(Debug)]
pub struct Image {
    path: PathBuf,
    file: File,
    /// Where pages lie in the file: offsets and lengths.
    parts: VecDeque<(u64, u64)>,
}

impl Image {
    /// Opens it.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |error| Error::Kernel(path.to_owned(), error);
        let file = File::open(path).map_err(failed)?;
        let mut head = [0; 64];
        let len = read(&file, &mut head, 0).map_err(failed)?;
        let parts = match &head[..len] {
            head if head.starts_with(ELFMAG) => loads(&file, head).map_err(failed)?,
            head if head.starts_with(b"KDUMP   ") => {
                let what = "it is a compressed dump; have QEMU write an ELF file (dump-guest-memory without -z, -l, -s)";
                return Err(failed(IoError::other(what)));
            }
            _ => [(0, u64::MAX)].into(),
        };
        Ok(Self { path: path.to_owned(), file, parts })
    }
}

/// The parts of a core file that have memory in them.
fn loads(file: &File, head: &[u8]) -> std::io::Result<VecDeque<(u64, u64)>> {
    let refused =
        || IoError::other("it is an ELF file, but no core file of a 64-bit little-endian machine");
    let head: &[u8; 64] = head.try_into().map_err(|_| refused())?;
    let header = Header::from_bytes(head);
    let is_read = head[EI_CLASS] == ELFCLASS64 && head[EI_DATA] == ELFDATA2LSB;
    if !is_read
        || header.e_type != goblin::elf::header::ET_CORE
        || usize::from(header.e_phentsize) != SIZEOF_PHDR
    {
        return Err(refused());
    }
    // At most 65,535 of 56 bytes.
    let mut table = vec![0; usize::from(header.e_phnum) * SIZEOF_PHDR];
    if read(file, &mut table, header.e_phoff)? != table.len() {
        return Err(IoError::other("it is cut off"));
    }
    let context = Ctx::new(Container::Big, Endian::Little);
    let headers = goblin::elf::ProgramHeader::parse(&table, 0, header.e_phnum.into(), context);
    let headers = headers.map_err(|_| refused())?;
    let loads =
        headers.into_iter().filter(|header| header.p_type == PT_LOAD && header.p_filesz > 0);
    Ok(loads.map(|header| (header.p_offset, header.p_filesz)).collect())
}

/// As much as there is.
fn read(file: &File, buffer: &mut [u8], at: u64) -> std::io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        let Some(at) = at.checked_add(len as u64) else { break };
        match file.read_at(&mut buffer[len..], at) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

impl Pages for Image {
    fn next(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let whole = buffer.len() / PAGE * PAGE;
        while let Some((at, left)) = self.parts.front_mut() {
            let wanted = (*left).min(whole as u64) as usize;
            let len = read(&self.file, &mut buffer[..wanted], *at)
                .map_err(|error| Error::Kernel(self.path.clone(), error))?;
            *at = at.saturating_add(len as u64);
            *left -= len as u64;
            if len < whole || *left == 0 {
                self.parts.pop_front();
            }
            if len > 0 {
                let filled = len.next_multiple_of(PAGE);
                buffer[len..filled].fill(0);
                return Ok(filled);
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(bytes: &[u8]) -> (tempfile::TempDir, Result<Image>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image\x1b");
        std::fs::write(&path, bytes).unwrap();
        let image = Image::open(&path);
        (dir, image)
    }

    /// All pages, by the first byte of each.
    fn firsts(image: &mut Image) -> Vec<u8> {
        let (mut firsts, mut buffer) = (Vec::new(), vec![9; 4 * PAGE]);
        loop {
            let len = image.next(&mut buffer).unwrap();
            if len == 0 {
                return firsts;
            }
            firsts.extend(buffer[..len].as_chunks::<PAGE>().0.iter().map(|page| page[0]));
        }
    }

    #[test]
    fn the_last_page_is_filled_up() {
        let (_dir, image) = image(&[vec![1; PAGE], vec![2; 10]].concat());
        let (mut image, mut buffer) = (image.unwrap(), vec![9; 4 * PAGE]);
        assert_eq!(image.next(&mut buffer).unwrap(), 2 * PAGE);
        assert_eq!((buffer[PAGE - 1], buffer[PAGE + 9], buffer[PAGE + 10]), (1, 2, 0));
        assert_eq!(image.next(&mut buffer).unwrap(), 0);
    }

    #[test]
    fn pages_of_all_sizes_of_files() {
        for pages in [0, 1, 3, 4, 5, 8, 9] {
            let bytes: Vec<u8> = (0..pages).flat_map(|page| vec![page as u8; PAGE]).collect();
            let (_dir, image) = image(&bytes);
            assert_eq!(
                firsts(&mut image.unwrap()),
                (0..pages).map(|page| page as u8).collect::<Vec<_>>()
            );
        }
    }

    /// A core file with notes, and memory of these lengths, each page filled with its number from 1 on, the first at no multiple of a page.
    fn core(lens: &[usize]) -> Vec<u8> {
        let count = lens.len() + 1;
        let mut bytes = vec![0; 64 + count * SIZEOF_PHDR];
        bytes[..4].copy_from_slice(ELFMAG);
        (bytes[4], bytes[5], bytes[6], bytes[16], bytes[18]) = (2, 1, 1, 4, 62);
        (bytes[32], bytes[52], bytes[54], bytes[56]) = (64, 64, SIZEOF_PHDR as u8, count as u8);
        // PT_NOTE, which is left out.
        bytes[64] = 4;
        let mut number = 0u8;
        for (index, len) in lens.iter().enumerate() {
            let at = 64 + (index + 1) * SIZEOF_PHDR;
            bytes[at] = 1;
            let offset = bytes.len() as u64;
            bytes[at + 8..at + 16].copy_from_slice(&offset.to_le_bytes());
            bytes[at + 32..at + 40].copy_from_slice(&(*len as u64).to_le_bytes());
            for page in 0..len.div_ceil(PAGE) {
                number += 1;
                bytes.extend(vec![number; PAGE.min(len - page * PAGE)]);
            }
        }
        bytes
    }

    #[test]
    fn core_files_have_their_pages_anywhere() {
        let bytes = core(&[2 * PAGE, 5 * PAGE, PAGE]);
        let (_dir, image) = image(&bytes);
        assert_eq!(firsts(&mut image.unwrap()), [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn damaged_core_files_get_a_sentence() {
        let bytes = core(&[PAGE]);
        for (len, sentence) in [(64 + 10, "it is cut off"), (20, "no core file")] {
            let (_dir, image) = image(&bytes[..len]);
            let said = image.unwrap_err().to_string();
            assert!(said.contains(sentence) && said.contains("\\u{1b}"), "{said}");
        }
        let (_dir, kdump) = image(b"KDUMP   and so on");
        assert!(kdump.unwrap_err().to_string().contains("without -z"));
        // Memory that lies behind the file's end is not there.
        let (_dir, short) = image(&bytes[..bytes.len() - PAGE]);
        assert!(firsts(&mut short.unwrap()).is_empty());
    }
}
