//! A store: packs and indexes, in a directory or an object store.

use std::ffi::OsString;
use std::io;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use statify_store::{Folder, Place, Purpose, Storage};

use crate::error::{Error, Result};
use crate::index::{self, Index};
use crate::name::from_hex;
pub use crate::name::{BlobName, hex};
use crate::pack::{self, Directory, Entry};
use crate::signature::{self, Comment, Sign, Trust};

const PACKS: &str = "packs";
const INDEXES: &str = "indexes";
/// Indexes that were removed: for a while their chunks stay.
const REMOVED: &str = "removed";
/// Signatures of indexes ([`crate::signature`]).
const SIGNATURES: &str = "signatures";
const PURPOSE: Purpose = Purpose {
    noun: "chunk store",
    stake: "machines boot from what is in it",
    agent: concat!("chunkstore/", env!("CARGO_PKG_VERSION")),
    saves_time: false,
    folders: &[PACKS, INDEXES, REMOVED, SIGNATURES],
};
/// No store has more packs or indexes.
const MOST_BLOBS: usize = 1 << 24;

/// Where chunks are kept.
#[derive(Debug)]
pub struct Store {
    storage: Box<dyn Storage>,
}

/// An index as the store has it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The index.
    pub index: Index,
    /// SHA-256 of its bytes.
    pub hash: [u8; 32],
}

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

    /// The size of a pack, in bytes; `None` if it is not there.
    pub fn pack_size(&self, name: &BlobName) -> Result<Option<u64>> {
        let size = self.storage.size(Folder::top(PACKS), &hex(name));
        size.map_err(|error| Error::Request(format!("the pack {}", hex(name)), error))
    }

    /// Whether a pack is there.
    pub fn has_pack(&self, name: &BlobName) -> Result<bool> {
        Ok(self.pack_size(name)?.is_some())
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
        Ok(self.stored()?.into_iter().map(|stored| Ok(stored?.index)).collect())
    }

    /// The same, with the hashes of their bytes.
    pub fn stored(&self) -> Result<Vec<Result<Stored>>> {
        let names = self.names(INDEXES)?;
        Ok(names.iter().map(|name| self.stored_in(INDEXES, name, &hex(name))).collect())
    }

    /// Those that were removed less than `grace` ago; older ones are forgotten now.
    pub fn removed_indexes(&self, grace: Duration) -> Result<Vec<Stored>> {
        let mut indexes = Vec::new();
        for name in self.names(REMOVED)? {
            match self.age(REMOVED, &name)? {
                None => {}
                Some(age) if age < grace => {
                    indexes.push(self.stored_in(REMOVED, &name, &hex(&name))?);
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
        index_of(label, &self.index_bytes(label)?)
    }

    /// The same if it is signed as `trust` says.
    pub fn trusted_index(&self, label: &str, trust: &Trust) -> Result<Index> {
        let bytes = self.index_bytes(label)?;
        self.check_signature(label, &bytes, trust)?;
        index_of(label, &bytes)
    }

    /// Whether these bytes of an index are signed as `trust` says; an error if not. Returns when they were.
    pub fn check_signature(&self, label: &str, bytes: &[u8], trust: &Trust) -> Result<SystemTime> {
        let refused = |why: &str| Error::NotSigned(label.into(), why.into());
        let blob = hex(&trust.blob(&Sha256::digest(bytes).into()));
        let signature = self.storage.get(Folder::top(SIGNATURES), &blob, signature::MOST);
        let signature = signature.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => refused("nobody has signed it with this key"),
            _ => Error::Request(format!("the signature of {label:?}"), error),
        })?;
        trust.check(bytes, label, &signature).map_err(|why| refused(&why))
    }

    /// The bytes of the index of the image `label`, which may be anything.
    pub fn index_bytes(&self, label: &str) -> Result<Vec<u8>> {
        self.bytes_in(INDEXES, &blob_of(label)?, label)
    }

    fn bytes_in(&self, folder: &'static str, name: &BlobName, label: &str) -> Result<Vec<u8>> {
        let bytes = self.storage.get(Folder::top(folder), &hex(name), index::MOST);
        bytes.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::NoIndex(label.into()),
            _ => Error::Request(format!("the index {label:?}"), error),
        })
    }

    fn stored_in(&self, folder: &'static str, name: &BlobName, label: &str) -> Result<Stored> {
        let bytes = self.bytes_in(folder, name, label)?;
        let index = Index::parse(&bytes).map_err(|why| Error::Index(label.into(), why))?;
        Ok(Stored { index, hash: Sha256::digest(&bytes).into() })
    }

    /// Puts an index there: in the place of another image's only if `replace`. One of the same image stays.
    pub fn put_index(&self, index: &Index, replace: bool) -> Result<()> {
        self.put_signed_index(index, replace, None)
    }

    /// The same, signed before it is there, if somebody is to sign it.
    pub fn put_signed_index(
        &self,
        index: &Index,
        replace: bool,
        signer: Option<&dyn Sign>,
    ) -> Result<()> {
        let name = hex(&blob_of(&index.label)?);
        let bytes = index.to_bytes();
        let sign = |bytes: &[u8]| {
            let sign = |signer| self.sign_index(&index.label, bytes, signer, SystemTime::now());
            signer.map_or(Ok(()), sign)
        };
        sign(&bytes)?;
        let request = |error| Error::Request(format!("putting the index {:?}", index.label), error);
        let folder = Folder::top(INDEXES);
        if self.storage.put_new(folder, &name, &bytes).map_err(request)? {
            return Ok(());
        }
        let there = self.index_bytes(&index.label);
        let before = there
            .as_deref()
            .map_or_else(|_| self.index(&index.label), |bytes| index_of(&index.label, bytes));
        match before {
            Ok(before) if !replace && before.is_of_same_image(index) => return sign(&there?),
            Ok(_) if !replace => return Err(Error::Exists(index.label.clone())),
            Ok(before) => self.retire(&before)?,
            // One that is damaged needs nothing that could be known.
            Err(Error::Index(..)) if replace => {}
            Err(error) => return Err(error),
        }
        self.storage.put(folder, &name, &bytes).map_err(request)
    }

    /// Signs these bytes of the index of the image `label`.
    pub fn sign_index(
        &self,
        label: &str,
        bytes: &[u8],
        signer: &dyn Sign,
        time: SystemTime,
    ) -> Result<()> {
        let text = signer.sign(bytes, label, time)?;
        let blob = signature::blob(&Sha256::digest(bytes).into(), signer.public_key());
        let put = self.storage.put(Folder::top(SIGNATURES), &hex(&blob), text.as_bytes());
        put.map_err(|error| Error::Request(format!("putting the signature of {label:?}"), error))
    }

    /// The signatures that there are, each with what it says of itself, if that is a signature.
    pub fn signatures(&self) -> Result<Vec<(BlobName, Option<Comment>)>> {
        let names = self.names(SIGNATURES)?;
        let read = |name: BlobName| match self.storage.get(
            Folder::top(SIGNATURES),
            &hex(&name),
            signature::MOST,
        ) {
            Ok(bytes) => Ok(Some((name, Comment::unchecked(&bytes)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::Request(format!("the signature {}", hex(&name)), error)),
        };
        names.into_iter().filter_map(|name| read(name).transpose()).collect()
    }

    /// Removes a signature if it is older than `grace`.
    pub fn forget_signature(&self, name: &BlobName, grace: Duration) -> Result<()> {
        if self.age(SIGNATURES, name)?.is_none_or(|age| age < grace) {
            return Ok(());
        }
        let removed = self.storage.remove(Folder::top(SIGNATURES), &hex(name));
        removed.map_err(|error| Error::Request("removing a signature".into(), error))
    }

    /// Puts an index in the place of the one that has the bytes `before`, which is kept among the removed ones. Returns whether it
    /// did: not if there is another by now.
    pub fn replace_index(&self, before: &[u8], index: &Index) -> Result<bool> {
        self.retire(&index_of(&index.label, before)?)?;
        let name = hex(&blob_of(&index.label)?);
        let replaced = self.storage.replace(Folder::top(INDEXES), &name, before, &index.to_bytes());
        replaced
            .map_err(|error| Error::Request(format!("putting the index {:?}", index.label), error))
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

/// The index of the image `label` out of bytes that may be anything.
fn index_of(label: &str, bytes: &[u8]) -> Result<Index> {
    let index = Index::parse(bytes).map_err(|why| Error::Index(label.into(), why))?;
    match index.label == label {
        true => Ok(index),
        false => Err(Error::Index(label.into(), "it is that of another image")),
    }
}
