//! EROFS, read by the crate `erofs-rs`: the part of it that is asynchronous, since that reads pieces of an image.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use erofs_rs::r#async::EroFS;
use erofs_rs::backend::AsyncImage;
use rustix::fs::FileType;

use super::file_system::{Contents, Entry, FileSystem, Kind, MOST_ENTRIES};
use super::reader::Reader;

/// No target of a link is longer (PATH_MAX).
const LONGEST_TARGET: u64 = 4096;

/// Whether the block at 1024 is one of its superblocks: `EROFS_SUPER_MAGIC_V1`.
pub fn is_one(block: &[u8; 1024]) -> bool {
    block[..4] == 0xe0f5_e1e2u32.to_le_bytes()
}

/// A file system.
pub struct Erofs(EroFS<Image>);

struct Image(Arc<Reader>);

impl AsyncImage for Image {
    async fn read_exact_at(&self, into: &mut [u8], offset: u64) -> erofs_rs::Result<()> {
        let read = self.0.read_exact_at(into, offset);
        read.map_err(|error| erofs_rs::Error::CorruptedData(error.to_string()))
    }
}

/// What comes of something that never waits.
fn now<T>(future: impl Future<Output = T>) -> Result<T, String> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Ok(done),
        Poll::Pending => Err("EROFS whose reader waits".into()),
    }
}

fn said(error: erofs_rs::Error) -> String {
    format!("EROFS that cannot be read: {error}")
}

fn done<T>(future: impl Future<Output = erofs_rs::Result<T>>) -> Result<T, String> {
    now(future)?.map_err(said)
}

impl Erofs {
    /// That of an image.
    pub fn open(image: Arc<Reader>) -> Result<Self, String> {
        done(EroFS::new(Image(image))).map(Self)
    }
}

impl FileSystem for Erofs {
    fn entries(&self, directory: &[u8]) -> Result<Vec<Entry>, String> {
        let mut listed = done(self.0.read_dir(directory))?;
        let mut entries = Vec::new();
        while let Some(entry) = now(listed.next_entry())? {
            let entry = entry.map_err(said)?;
            let (name, inode) = (entry.dir_entry.file_name().to_vec(), entry.inode);
            let number = entry.dir_entry.nid();
            if matches!(&name[..], b"." | b"..") {
                continue;
            }
            if entries.len() == MOST_ENTRIES {
                return Err("EROFS with a directory of too many names".into());
            }
            let kind = match inode.file_type() {
                FileType::RegularFile => Kind::File,
                FileType::Directory => Kind::Directory,
                FileType::Symlink => Kind::Link,
                FileType::Fifo => Kind::Fifo,
                FileType::Socket => Kind::Socket,
                FileType::CharacterDevice => Kind::CharacterDevice,
                FileType::BlockDevice => Kind::BlockDevice,
                FileType::Unknown => return Err("EROFS with a file of no kind".into()),
            };
            let owner = (inode.uid(), inode.gid());
            let (len, mode) = (inode.data_size(), inode.permissions());
            entries.push(Entry { name, kind, len, mode, owner, number });
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    fn target(&self, _: &[u8], link: &Entry) -> Result<Vec<u8>, String> {
        let inode = done(self.0.get_inode(link.number))?;
        if inode.data_size() > LONGEST_TARGET {
            return Err("EROFS with a link that is too long".into());
        }
        Ok(done(self.0.read_link_inode(inode))?.as_bytes().to_vec())
    }

    fn open(&self, _: &[u8], file: &Entry) -> Result<Contents<'_>, String> {
        let inode = done(self.0.get_inode(file.number))?;
        let mut file = self.0.open_inode_file(inode).map_err(said)?;
        Ok(Box::new(move |into| done(file.read(into))))
    }
}
