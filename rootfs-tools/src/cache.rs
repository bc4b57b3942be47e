//! Conversions kept by what they were made of, for later runs and for others on this machine.
//!
//! What a conversion is made of is known before it only in part: the program, the options, the tool.
//! So an entry under that key says which files were embedded, and where the loader found them and might
//! have found others ([`search`]); it counts where all that is the same in the tree at hand. Entries
//! and outputs appear by rename(2) and are never changed, so that runs share a cache without a lock.

pub mod loader_cache;
pub mod search;

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use statify::arch;
use statify::elf::ElfFile;
use statify::manifest::{Manifest, hex};
use statify::seal;

use crate::contents;
use crate::error::{Error, Result};
use crate::path_text;
use crate::tree::Tree;
use search::Search;

/// Of the format; part of each key.
const FORMAT: &str = "rootfs-tools cache 1";
/// An entry is smaller, in bytes.
const MOST_ENTRY: u64 = 16 << 20;
/// More entries of a key are not looked at.
const MOST_ENTRIES: usize = 64;

/// A directory of conversions.
#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    /// What all keys of the run have in common.
    common: String,
    /// Hashes of the tree's files, by device, inode, size and times.
    hashes: Mutex<HashMap<[i64; 7], String>>,
}

/// What is kept of a conversion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What was embedded: path in the tree and SHA-256, in hexadecimal.
    files: Vec<(String, String)>,
    /// Where the loader found it.
    search: Search,
    /// The output's SHA-256, in hexadecimal.
    output: String,
}

/// Options that shape an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// As [`statify::Options::align`].
    pub align: u64,
    /// As [`statify::Options::fixed`].
    pub fixed: bool,
}

impl Cache {
    /// Opens or makes the directory. Nobody else may be able to put programs into it.
    pub fn open(dir: &Path, shape: Shape) -> Result<Self> {
        let failed = |source| Error::File { path: dir.to_owned(), what: "used as a cache", source };
        for path in [dir.to_owned(), dir.join("entries"), dir.join("outputs")] {
            DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(failed)?;
            let stat = path.metadata().map_err(failed)?;
            let own = rustix::process::geteuid().as_raw();
            if stat.mode() & 0o022 != 0 || ![0, own].contains(&stat.uid()) {
                let why = "others than you may write to it, and what is in it becomes programs";
                return Err(failed(io::Error::other(why)));
            }
        }
        let tool = File::open("/proc/self/exe").and_then(|file| contents::sha256(&file));
        let cpu = hex(&arch::without_apic_id(arch::cpu_identity()));
        let Shape { align, fixed } = shape;
        let common = format!("{FORMAT}\n{}\n{cpu}\n{align}\n{fixed}\n", tool.map_err(failed)?);
        Ok(Self { dir: dir.to_owned(), common, hashes: Mutex::default() })
    }

    fn entries(&self, program: &Path, sha256: &str) -> PathBuf {
        let key = format!("{}{sha256}\n{}", self.common, path_text::to_text(program));
        self.dir.join("entries").join(hex(&Sha256::digest(key)))
    }

    /// If `program`, whose contents have this hash, was converted before and all that belongs to it is
    /// the same in the tree: makes the output `to`, and returns its manifest and size.
    pub fn find(
        &self,
        tree: &Tree,
        program: &Path,
        sha256: &str,
        to: &Path,
    ) -> Option<(Manifest, u64)> {
        let entries = fs::read_dir(self.entries(program, sha256)).ok()?;
        for entry in entries.take(MOST_ENTRIES).filter_map(io::Result::ok) {
            let Ok(entry) = read_entry(&entry.path()) else {
                continue;
            };
            // Of another program is what somebody has put there.
            let of = entry.files.first().map(|(path, hash)| (Path::new(path), hash.as_str()));
            if of != Some((program, sha256)) || !self.holds(tree, &entry) {
                continue;
            }
            match self.fetch(&entry, to) {
                // A full disk shows again where a conversion is written.
                Ok(Some(found)) => return Some(found),
                Ok(None) | Err(_) => {
                    let _ = fs::remove_file(to);
                }
            }
        }
        None
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
        let hashes = || self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hash) = hashes().get(&id) {
            return Ok(hash.clone());
        }
        let hash = contents::sha256(&File::open(found.link())?)?;
        hashes().insert(id, hash.clone());
        Ok(hash)
    }

    /// Copies an output, and believes it only if it is what the entry says and consists of what the
    /// entry says.
    fn fetch(&self, entry: &Entry, to: &Path) -> io::Result<Option<(Manifest, u64)>> {
        if entry.output.len() != 64 || !entry.output.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let kept = contents::open(&self.dir.join("outputs").join(&entry.output))?;
        let new = contents::copy(&kept, to)?;
        if contents::sha256(&new)? != entry.output {
            return Ok(None);
        }
        // SAFETY: the file is this run's own; its bytes are only read as bytes.
        let bytes = unsafe { memmap2::Mmap::map(&new) }?;
        let Ok(elf) = ElfFile::parse(&bytes) else {
            return Ok(None);
        };
        let manifest = Manifest::read(&elf).filter(|manifest| {
            let id = seal::build_id(&bytes, &elf, manifest);
            files_of(manifest) == entry.files
                && id.is_some_and(|id| elf.build_id() == Some(id.to_vec()))
        });
        Ok(manifest.map(|manifest| (manifest, bytes.len() as u64)))
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
        let search = Search::of(tree, manifest)?;
        let entry = Entry { files: files_of(manifest), search, output: contents::sha256(&output)? };
        // A path that is no text cannot be found again.
        if !self.holds(tree, &entry) {
            return Ok(());
        }
        let outputs = self.dir.join("outputs");
        if !outputs.join(&entry.output).exists() {
            let partial = tempfile::Builder::new().prefix(".partial-").tempdir_in(&outputs)?;
            let new = partial.path().join("output");
            contents::copy(&output, &new)?.sync_data()?;
            fs::rename(new, outputs.join(&entry.output))?;
        }
        let json = serde_json::to_vec(&entry).map_err(io::Error::other)?;
        let entries = self.entries(program, sha256);
        DirBuilder::new().recursive(true).mode(0o700).create(&entries)?;
        let mut new = tempfile::NamedTempFile::new_in(self.dir.join("entries"))?;
        new.write_all(&json)?;
        new.as_file().sync_data()?;
        new.persist(entries.join(hex(&Sha256::digest(&json))))?;
        Ok(())
    }
}

fn files_of(manifest: &Manifest) -> Vec<(String, String)> {
    let file = |file: &statify::manifest::EmbeddedFile| {
        (file.path.to_string_lossy().into_owned(), file.sha256.clone())
    };
    manifest.files.iter().map(file).collect()
}

/// An entry as it was written: its name is its hash.
fn read_entry(path: &Path) -> io::Result<Entry> {
    let mut bytes = Vec::new();
    contents::open(path)?.take(MOST_ENTRY).read_to_end(&mut bytes)?;
    let name = path.file_name().unwrap_or_default();
    if name != hex(&Sha256::digest(&bytes)).as_str() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    serde_json::from_slice(&bytes).map_err(io::Error::other)
}
