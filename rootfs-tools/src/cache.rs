//! Conversions kept by what they were made of, for later runs and for others, on this machine or on
//! others.
//!
//! What a conversion is made of is known before it only in part: the program, the options, the tool.
//! So an entry under that key says which files were embedded, and where the loader found them and might
//! have found others ([`search`]); it counts where all that is the same in the tree at hand. An entry's
//! name is a tag of its contents and its key ([`names`]). Of an output is kept what it does not have from
//! the files in it ([`recipe`]), under the hash of that as its name. Both lie in a store ([`statify_store`]).

pub mod names;
pub mod recipe;
mod search;

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use statify::sharing::Sharing;
use statify_elf::ElfFile;
use statify_elf::machine;
use statify_files::contents;
use statify_files::path_text;
use statify_format::Shape;
use statify_format::build_id;
use statify_format::manifest::{Manifest, hex};
use statify_store::{Place, Storage, storage};

use crate::error::{Error, Result};
use crate::tree::Tree;
use names::{Names, PURPOSE};
use recipe::Recipe;
use search::Search;

/// Of the format; part of each key.
const FORMAT: &str = "rootfs-tools cache 3";
/// An entry is smaller, in bytes.
const MOST_ENTRY: u64 = 1 << 20;
/// More entries of a key are not looked at.
const MOST_ENTRIES: usize = 64;

/// What is asked of a run's cache.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it lies.
    pub place: Place,
    /// The file with the key of its entries' names.
    pub key: Option<PathBuf>,
}

/// Conversions that were kept.
#[derive(Debug)]
pub struct Cache {
    storage: Box<dyn Storage>,
    names: Names,
    /// What all keys of the run have in common.
    common: String,
    /// Hashes of the tree's files, by device, inode, size and times.
    hashes: Mutex<HashMap<[i64; 7], String>>,
    /// Recipes that are not what their names say.
    damaged: Mutex<HashSet<String>>,
}

/// What is kept of a conversion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// What was embedded: path in the tree and SHA-256, in hexadecimal.
    files: Vec<(String, String)>,
    /// Where the loader found it.
    search: Search,
    /// The output's BLAKE3, in hexadecimal.
    output: recipe::Hash,
    /// Its size, in bytes.
    size: u64,
    /// The SHA-256 of its recipe as that is kept, in hexadecimal.
    recipe: String,
    /// The recipe's size as it is kept, in bytes.
    kept: u64,
}

/// An output that was made from what was kept.
#[derive(Debug)]
pub struct Hit {
    /// What the output says of itself.
    pub manifest: Manifest,
    /// Its size, in bytes.
    pub size: u64,
    /// Bytes of it in blocks that it shares with what is embedded.
    pub shared: u64,
}

impl Cache {
    /// Opens it, or makes it if it is a directory. Outputs are of this shape, and look for their pool there.
    pub fn open(options: &Options, shape: Shape, pool: Option<&Path>) -> Result<Self> {
        let names = Names::open(options.key.as_deref())?;
        // Others than the owner may write to a bucket.
        if !matches!(options.place, Place::Directory(_)) && options.key.is_none() {
            return Err(Error::NoCacheKey(options.place.to_string()));
        }
        let storage = statify_store::open(&options.place, &PURPOSE, |name| std::env::var_os(name))?;
        let own = Path::new("/proc/self/exe");
        let tool = File::open(own).and_then(|file| contents::sha256(&file));
        let tool = tool.map_err(Error::file("read", own))?;
        let cpu = hex(&machine::without_apic_id(machine::cpu_identity()));
        Ok(Self {
            storage,
            names,
            common: format!("{FORMAT}\n{tool}\n{cpu}\n{shape:?}\n{pool:?}\n"),
            hashes: Mutex::default(),
            damaged: Mutex::default(),
        })
    }

    fn key(&self, program: &Path, sha256: &str) -> String {
        self.names.key(&format!("{}{sha256}\n{}", self.common, path_text::to_text(program)))
    }

    /// What went wrong with the place where it lies, in a sentence.
    pub fn failures(&self) -> Option<String> {
        let failures = self.storage.failures()?;
        Some(format!(
            "{failures}, so some programs were converted without this cache, or not kept in it; they are as \
             good as any"
        ))
    }

    /// If `program`, whose contents have this hash, was converted before and all that belongs to it is
    /// the same in the tree: makes the output `to`.
    pub fn find(
        &self,
        tree: &Tree,
        program: &Path,
        sha256: &str,
        to: &Path,
        sharing: Option<&dyn Sharing>,
    ) -> Option<Hit> {
        let key = self.key(program, sha256);
        for name in self.storage.list(names::entries(&key), MOST_ENTRIES).ok()? {
            let Ok(entry) = self.entry(&key, &name) else {
                continue;
            };
            // Of another program is what somebody has put there.
            let of = entry.files.first().map(|(path, hash)| (Path::new(path), hash.as_str()));
            if of != Some((program, sha256)) || !self.holds(tree, &entry) {
                continue;
            }
            match self.make(tree, &entry, to, sharing) {
                // A full disk shows again where a conversion is written.
                Ok(Some(hit)) => return Some(hit),
                Ok(None) | Err(_) => {
                    let _ = fs::remove_file(to);
                }
            }
        }
        None
    }

    /// An entry as it was written: its name says so.
    fn entry(&self, key: &str, name: &str) -> io::Result<Entry> {
        let bytes = self.storage.get(names::entries(key), name, MOST_ENTRY)?;
        if self.names.entry(key, &bytes) != name {
            return Err(io::ErrorKind::InvalidData.into());
        }
        serde_json::from_slice(&bytes).map_err(io::Error::other)
    }

    /// Whether the tree has what the entry was made of, and nothing that would be found before it.
    fn holds(&self, tree: &Tree, entry: &Entry) -> bool {
        let same = |(path, sha256): &(String, String)| {
            self.hash(tree, Path::new(path)).is_ok_and(|hash| hash == *sha256)
        };
        entry.files.iter().all(same) && entry.search.is_the_same(tree)
    }

    /// The hash of a file of the tree, which must not have symbolic links in its path.
    fn hash(&self, tree: &Tree, path: &Path) -> io::Result<String> {
        let found = tree.root.find(path)?;
        let stat = found.link().metadata()?;
        if found.path()? != path || !stat.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let id = [
            stat.dev().cast_signed(),
            stat.ino().cast_signed(),
            stat.len().cast_signed(),
            stat.mtime(),
            stat.mtime_nsec(),
            stat.ctime(),
            stat.ctime_nsec(),
        ];
        if let Some(hash) = locked(&self.hashes).get(&id) {
            return Ok(hash.clone());
        }
        let hash = contents::sha256(&File::open(found.link())?)?;
        locked(&self.hashes).insert(id, hash.clone());
        Ok(hash)
    }

    /// Makes an output, and believes it only if it is what the entry says and consists of what the
    /// entry says.
    fn make(
        &self,
        tree: &Tree,
        entry: &Entry,
        to: &Path,
        sharing: Option<&dyn Sharing>,
    ) -> io::Result<Option<Hit>> {
        if !storage::is_name(&entry.recipe) {
            return Ok(None);
        }
        let packed = self.storage.get(names::recipes(), &entry.recipe, entry.kept)?;
        if hex(&Sha256::digest(&packed)) != entry.recipe {
            locked(&self.damaged).insert(entry.recipe.clone());
            return Ok(None);
        }
        let recipe = Recipe::unpack(&packed, entry.size)?;
        let mut files = Vec::new();
        for (path, _) in &entry.files {
            files.push((Path::new(path), File::open(tree.root.find(Path::new(path))?.link())?));
        }
        let (hash, shared) = recipe.make(&files, to, sharing)?;
        if hash != entry.output {
            return Ok(None);
        }
        let new = contents::open(to)?;
        // SAFETY: the file is this run's own; its bytes are only read as bytes.
        let bytes = unsafe { memmap2::Mmap::map(&new) }?;
        let Ok(elf) = ElfFile::parse(&bytes) else {
            return Ok(None);
        };
        let manifest = Manifest::read(&elf).filter(|manifest| {
            let id = build_id::build_id(&bytes, &elf, manifest);
            files_of(manifest) == entry.files
                && id.is_some_and(|id| elf.build_id() == Some(id.to_vec()))
        });
        Ok(manifest.map(|manifest| Hit { manifest, size: entry.size, shared }))
    }

    /// Keeps the conversion `output` of `program`. Not to have kept it is no error.
    pub fn keep(
        &self,
        tree: &Tree,
        program: &Path,
        sha256: &str,
        output: &Path,
        manifest: &Manifest,
    ) {
        let _ = self.try_keep(tree, program, sha256, output, manifest);
    }

    fn try_keep(
        &self,
        tree: &Tree,
        program: &Path,
        sha256: &str,
        output: &Path,
        manifest: &Manifest,
    ) -> io::Result<()> {
        let output = contents::open(output)?;
        let mut files = Vec::new();
        for file in &manifest.files {
            files.push(File::open(tree.root.find(&file.path)?.link())?);
        }
        let (recipe, hash) = Recipe::of(&output, manifest, &files)?;
        let packed = recipe.pack()?;
        let entry = Entry {
            files: files_of(manifest),
            search: Search::of(tree, manifest)?,
            output: hash,
            size: output.metadata()?.len(),
            recipe: hex(&Sha256::digest(&packed)),
            kept: packed.len() as u64,
        };
        // A path that is no text cannot be found again.
        if !self.holds(tree, &entry) {
            return Ok(());
        }
        let is_damaged = locked(&self.damaged).contains(&entry.recipe);
        let size = || self.storage.size(names::recipes(), &entry.recipe).ok().flatten();
        if is_damaged || size() != Some(entry.kept) {
            self.storage.put(names::recipes(), &entry.recipe, &packed)?;
        }
        let json = serde_json::to_vec(&entry).map_err(io::Error::other)?;
        let key = self.key(program, sha256);
        self.storage.put(names::entries(&key), &self.names.entry(&key, &json), &json)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn files_of(manifest: &Manifest) -> Vec<(String, String)> {
    let file = |file: &statify_format::manifest::EmbeddedFile| {
        (file.path.to_string_lossy().into_owned(), file.sha256.clone())
    };
    manifest.files.iter().map(file).collect()
}
