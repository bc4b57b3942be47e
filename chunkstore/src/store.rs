//! A store: packs and indexes, in a directory or an object store.

use std::ffi::OsString;
use std::io;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use statify_store::{Folder, Place, Purpose, Storage};

use crate::error::{Error, Result};
use crate::index::{self, Index};
use crate::name::from_hex;
use crate::pack::{self, Directory, Entry};

const PACKS: &str = "packs";
const INDEXES: &str = "indexes";
/// Indexes that were removed: for a while their chunks stay.
const REMOVED: &str = "removed";
const PURPOSE: Purpose = Purpose {
    noun: "chunk store",
    stake: "machines boot from what is in it",
    agent: concat!("chunkstore/", env!("CARGO_PKG_VERSION")),
    saves_time: false,
    folders: &[PACKS, INDEXES, REMOVED],
};
/// No store has more packs or indexes.
const MOST_BLOBS: usize = 1 << 24;

/// Where chunks are kept.
#[derive(Debug)]
pub struct Store {
    storage: Box<dyn Storage>,
}

/// The name of a blob.
pub type BlobName = [u8; 32];

impl Store {
    /// Opens the store at `place`; a directory is made. `variable` looks up variables of the environment, which say
    /// endpoint and credentials of an object store.
    pub fn open(place: &Place, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        Ok(Self { storage: statify_store::open(place, &PURPOSE, variable)? })
    }

    /// The packs that there are.
    pub fn packs(&self) -> Result<Vec<BlobName>> {
        self.names(PACKS)
    }

    fn names(&self, folder: &'static str) -> Result<Vec<BlobName>> {
        let names = self.storage.list(Folder::top(folder), MOST_BLOBS);
        let names = names.map_err(|error| Error::Request(format!("listing {folder}"), error))?;
        Ok(names.iter().filter_map(|name| from_hex(name)).collect())
    }

    /// Puts a pack there and returns its name. One that is there already is the same.
    pub fn put_pack(&self, bytes: &[u8]) -> Result<BlobName> {
        let name = Sha256::digest(bytes).into();
        let put = self.storage.put_new(Folder::top(PACKS), &hex(&name), bytes);
        put.map_err(|error| Error::Request(format!("putting the pack {}", hex(&name)), error))?;
        Ok(name)
    }

    /// What is in a pack, as it says itself.
    pub fn pack_entries(&self, name: &BlobName) -> Result<Vec<Entry>> {
        let mut wanted = pack::FIRST;
        loop {
            let bytes = self.pack_bytes(name, 0, wanted)?;
            let directory = pack::directory(&bytes);
            match directory.map_err(|why| Error::Pack(hex(name), why))? {
                Directory::Entries(entries) => return Ok(entries),
                Directory::Needs(bytes) if bytes > wanted => wanted = bytes,
                Directory::Needs(_) => return Err(Error::Pack(hex(name), "it is cut off")),
            }
        }
    }

    /// Bytes of a pack, less at its end.
    pub fn pack_bytes(&self, name: &BlobName, offset: u64, len: u64) -> Result<Vec<u8>> {
        let bytes = self.storage.get_range(Folder::top(PACKS), &hex(name), offset, len);
        bytes.map_err(|error| Error::Request(format!("the pack {}", hex(name)), error))
    }

    /// Whether a pack is there.
    pub fn has_pack(&self, name: &BlobName) -> Result<bool> {
        let size = self.storage.size(Folder::top(PACKS), &hex(name));
        let size =
            size.map_err(|error| Error::Request(format!("the pack {}", hex(name)), error))?;
        Ok(size.is_some())
    }

    /// How long ago a pack was put there; `None` if it is not there.
    pub fn pack_age(&self, name: &BlobName) -> Result<Option<Duration>> {
        self.age(PACKS, name)
    }

    fn age(&self, folder: &'static str, name: &BlobName) -> Result<Option<Duration>> {
        let time = self.storage.modified(Folder::top(folder), &hex(name));
        let time =
            time.map_err(|error| Error::Request(format!("{folder}/{}", hex(name)), error))?;
        // A clock that is ahead: as if it were new.
        let age = |time| SystemTime::now().duration_since(time).unwrap_or_default();
        Ok(time.map(age))
    }

    /// Removes a pack.
    pub fn remove_pack(&self, name: &BlobName) -> Result<()> {
        let removed = self.storage.remove(Folder::top(PACKS), &hex(name));
        removed.map_err(|error| Error::Request(format!("removing the pack {}", hex(name)), error))
    }

    /// All indexes, each with its name where it cannot be read.
    pub fn indexes(&self) -> Result<Vec<Result<Index>>> {
        let names = self.names(INDEXES)?;
        Ok(names.iter().map(|name| self.index_in(INDEXES, name, &hex(name))).collect())
    }

    /// Those that were removed less than `grace` ago; older ones are forgotten now.
    pub fn removed_indexes(&self, grace: Duration) -> Result<Vec<Index>> {
        let mut indexes = Vec::new();
        for name in self.names(REMOVED)? {
            match self.age(REMOVED, &name)? {
                None => {}
                Some(age) if age < grace => {
                    indexes.push(self.index_in(REMOVED, &name, &hex(&name))?);
                }
                Some(_) => {
                    let removed = self.storage.remove(Folder::top(REMOVED), &hex(&name));
                    removed.map_err(|error| Error::Request("forgetting an index".into(), error))?;
                }
            }
        }
        Ok(indexes)
    }

    /// The index of the image `label`.
    pub fn index(&self, label: &str) -> Result<Index> {
        let index = self.index_in(INDEXES, &blob_of(label)?, label)?;
        match index.label == label {
            true => Ok(index),
            false => Err(Error::Index(label.into(), "it is that of another image")),
        }
    }

    fn index_in(&self, folder: &'static str, name: &BlobName, label: &str) -> Result<Index> {
        let bytes = self.storage.get(Folder::top(folder), &hex(name), index::MOST);
        let bytes = bytes.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::NoIndex(label.into()),
            _ => Error::Request(format!("the index {label:?}"), error),
        })?;
        Index::parse(&bytes).map_err(|why| Error::Index(label.into(), why))
    }

    /// Puts an index there: in the place of another image's only if `replace`. One of the same image stays.
    pub fn put_index(&self, index: &Index, replace: bool) -> Result<()> {
        let name = hex(&blob_of(&index.label)?);
        let bytes = index.to_bytes();
        let request = |error| Error::Request(format!("putting the index {:?}", index.label), error);
        let folder = Folder::top(INDEXES);
        if self.storage.put_new(folder, &name, &bytes).map_err(request)? {
            return Ok(());
        }
        let before = self.index(&index.label);
        match before {
            Ok(before) if !replace && before.is_of_same_image(index) => return Ok(()),
            Ok(_) if !replace => return Err(Error::Exists(index.label.clone())),
            Ok(before) => self.retire(&before)?,
            // One that is damaged needs nothing that could be known.
            Err(Error::Index(..)) if replace => {}
            Err(error) => return Err(error),
        }
        self.storage.put(folder, &name, &bytes).map_err(request)
    }

    /// Removes the index of an image. Its chunks stay for a while.
    pub fn remove_index(&self, label: &str) -> Result<()> {
        self.retire(&self.index(label)?)?;
        let name = hex(&blob_of(label)?);
        let removed = self.storage.remove(Folder::top(INDEXES), &name);
        removed.map_err(|error| Error::Request(format!("removing the index {label:?}"), error))
    }

    /// Keeps an index that goes among the removed ones, for those who have just found that they need not put its chunks there.
    fn retire(&self, index: &Index) -> Result<()> {
        let bytes = index.to_bytes();
        // By its contents: several of one name may go within a time of grace.
        let name = hex(&Sha256::digest(&bytes).into());
        let put = self.storage.put(Folder::top(REMOVED), &name, &bytes);
        put.map_err(|error| Error::Request(format!("removing the index {:?}", index.label), error))
    }
}

/// What the index of an image is called in the store.
fn blob_of(label: &str) -> Result<BlobName> {
    match index::is_label(label) {
        true => Ok(Sha256::digest(label).into()),
        false => Err(Error::Label(label.into())),
    }
}

/// A blob's name as text.
pub fn hex(name: &BlobName) -> String {
    crate::ChunkName(*name).to_string()
}
