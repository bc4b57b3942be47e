//! ext4 (and ext2, ext3), read by the crate `ext4-view`.

use std::error::Error;
use std::sync::Arc;

use ext4_view::{Ext4Read, FileType, Path};

use super::file_system::{Contents, Entry, FileSystem, Kind, MOST_ENTRIES};
use super::reader::Reader;

/// Whether the block at 1024 is one of its superblocks: `s_magic`.
pub fn is_one(block: &[u8; 1024]) -> bool {
    block[0x38..0x3a] == 0xef53u16.to_le_bytes()
}

/// A file system.
pub struct Ext4(ext4_view::Ext4);

struct Image(Arc<Reader>);

impl Ext4Read for Image {
    fn read(
        &mut self,
        start: u64,
        into: &mut [u8],
    ) -> Result<(), Box<dyn Error + Send + Sync + 'static>> {
        Ok(self.0.read_exact_at(into, start)?)
    }
}

fn said(error: ext4_view::Ext4Error) -> String {
    format!("ext4 that cannot be read: {error}")
}

fn path(path: &[u8]) -> Result<Path<'_>, String> {
    Path::try_from(path).map_err(|error| format!("ext4 with a path that is none: {error}"))
}

impl Ext4 {
    /// That of an image.
    pub fn open(image: Arc<Reader>) -> Result<Self, String> {
        ext4_view::Ext4::load(Box::new(Image(image))).map(Self).map_err(said)
    }
}

impl FileSystem for Ext4 {
    fn entries(&self, directory: &[u8]) -> Result<Vec<Entry>, String> {
        let mut entries = Vec::new();
        for entry in self.0.read_dir(path(directory)?).map_err(said)? {
            let entry = entry.map_err(said)?;
            let name = entry.file_name().as_ref().to_vec();
            if matches!(&name[..], b"." | b"..") {
                continue;
            }
            if entries.len() == MOST_ENTRIES {
                return Err("ext4 with a directory of too many names".into());
            }
            let stat = entry.metadata().map_err(said)?;
            let kind = match stat.file_type() {
                FileType::Regular => Kind::File,
                FileType::Directory => Kind::Directory,
                FileType::Symlink => Kind::Link,
                FileType::Fifo => Kind::Fifo,
                FileType::Socket => Kind::Socket,
                FileType::CharacterDevice => Kind::CharacterDevice,
                FileType::BlockDevice => Kind::BlockDevice,
            };
            let owner = (stat.uid(), stat.gid());
            let (len, mode) = (stat.len(), stat.mode() & 0o7777);
            entries.push(Entry { name, kind, len, mode, owner, number: 0 });
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    fn target(&self, link: &[u8], _: &Entry) -> Result<Vec<u8>, String> {
        let target = self.0.read_link(path(link)?).map_err(said)?;
        Ok(target.as_ref().to_vec())
    }

    fn open(&self, file: &[u8], _: &Entry) -> Result<Contents<'_>, String> {
        let mut file = self.0.open(path(file)?).map_err(said)?;
        Ok(Box::new(move |into| file.read_bytes(into).map_err(said)))
    }
}
