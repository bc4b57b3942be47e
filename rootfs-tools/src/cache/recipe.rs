//! An output as it is kept: as what it takes from which embedded file, and the rest, which is some five
//! percent of it.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use statify::chunks::{CHUNK, ChunkWriter, Watch};
use statify::sharing::{Sharing, Source};
use statify_elf::PAGE;
use statify_elf::holes::LARGEST;
use statify_files::contents;
use statify_format::manifest::{FileKind, Manifest};

/// Read at once, in bytes: stays in a CPU's cache.
const PIECE: u64 = 256 << 10;
/// The level of zstd: the packing of what is kept takes less time than writing it would.
const LEVEL: i32 = 1;

/// Of a file's contents: BLAKE3, in hexadecimal. All of an output is hashed each time it is made.
pub(crate) type Hash = String;

/// What an output consists of; what is named by nothing is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// In bytes.
    size: u64,
    /// From the files; ascending.
    taken: Vec<Taken>,
    /// Where the bytes of its own belong; ascending.
    own: Vec<Range<u64>>,
    /// The bytes of its own, one range's after the other's.
    #[serde(skip)]
    bytes: Vec<u8>,
}

/// Bytes of an embedded file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Taken {
    /// The output's offset.
    at: u64,
    size: u64,
    /// The file, by its index in the manifest.
    file: usize,
    /// Its offset.
    offset: u64,
}

impl Recipe {
    /// The recipe of `output`, which `manifest` describes, and the output's hash. `files` are what the manifest
    /// names, in its order.
    pub fn of(output: &File, manifest: &Manifest, files: &[File]) -> io::Result<(Self, Hash)> {
        let size = output.metadata()?.len();
        let mut recipe = Self { size, ..Self::default() };
        let mut hash = blake3::Hasher::new();
        let (mut bytes, mut there) = (Vec::new(), Vec::new());
        let stems = stems(manifest, size);
        let mut stems = stems.iter().peekable();
        let mut at = 0;
        while at < size {
            while stems.next_if(|stem| stem.at + stem.size <= at).is_some() {}
            let next = stems.peek().copied();
            let stem = next.filter(|stem| stem.at <= at);
            let end = match (stem, next) {
                (Some(stem), _) => stem.at + stem.size,
                (None, Some(next)) => next.at,
                (None, None) => size,
            };
            let len = (end - at).min(PIECE).min(size - at);
            bytes.resize(len as usize, 0);
            output.read_exact_at(&mut bytes, at)?;
            hash.update(&bytes);
            there.clear();
            let from = stem.map(|stem| (stem.file, stem.offset + (at - stem.at)));
            if let Some((file, offset)) = from {
                there.resize(len as usize, 0);
                let read = read_up_to(&files[file], &mut there, offset)?;
                there.truncate(read);
            }
            for (index, page) in bytes.chunks(PAGE as usize).enumerate() {
                let start = index * PAGE as usize;
                let same = there.get(start..start + page.len()) == Some(page);
                match from.filter(|_| same) {
                    Some((file, offset)) => {
                        recipe.take(at + start as u64, page.len(), file, offset + start as u64);
                    }
                    None => recipe.add(at + start as u64, page),
                }
            }
            at += len;
        }
        Ok((recipe, hash.finalize().to_hex().to_string()))
    }

    fn take(&mut self, at: u64, len: usize, file: usize, offset: u64) {
        let size = len as u64;
        match self.taken.last_mut() {
            Some(last)
                if last.file == file
                    && last.at + last.size == at
                    && last.offset + last.size == offset =>
            {
                last.size += size;
            }
            _ => self.taken.push(Taken { at, size, file, offset }),
        }
    }

    fn add(&mut self, at: u64, page: &[u8]) {
        if page.iter().all(|&byte| byte == 0) {
            return;
        }
        let end = at + page.len() as u64;
        match self.own.last_mut() {
            Some(last) if last.end == at => last.end = end,
            _ => self.own.push(at..end),
        }
        self.bytes.extend_from_slice(page);
    }

    /// The bytes that are kept: its head in JSON behind the length of that, and its own bytes, in zstd.
    pub fn pack(&self) -> io::Result<Vec<u8>> {
        let head = serde_json::to_vec(self)?;
        let mut packed = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
        for part in [&(head.len() as u64).to_le_bytes()[..], &head, &self.bytes] {
            io::Write::write_all(&mut packed, part)?;
        }
        packed.finish()
    }

    /// Reads what [`Recipe::pack`] made for an output of `size` bytes; an error if it is nothing of the
    /// kind.
    pub fn unpack(packed: &[u8], size: u64) -> io::Result<Self> {
        Self::read(zstd::stream::read::Decoder::new(packed)?, size)
    }

    /// Reads what [`Recipe::pack`] packs, before it is packed, of an output of `size` bytes; an error if it is
    /// nothing of the kind.
    pub fn read(bytes: impl Read, size: u64) -> io::Result<Self> {
        let wrong = || io::Error::from(io::ErrorKind::InvalidData);
        // Each page may be a range of its own, of less than 128 bytes.
        let most = size.saturating_mul(2).saturating_add(PAGE);
        if size > LARGEST {
            return Err(wrong());
        }
        let mut bytes = bytes.take(most);
        let mut head = [0; 8];
        bytes.read_exact(&mut head)?;
        let head = u64::from_le_bytes(head);
        let mut json = Vec::new();
        if bytes.by_ref().take(head).read_to_end(&mut json)? as u64 != head {
            return Err(wrong());
        }
        let mut recipe: Self = serde_json::from_slice(&json)?;
        bytes.read_to_end(&mut recipe.bytes)?;
        if recipe.size == size && recipe.is_whole() { Ok(recipe) } else { Err(wrong()) }
    }

    /// Whether its ranges lie in the output one after the other, and its bytes are as many as they say.
    fn is_whole(&self) -> bool {
        let mut own = 0;
        let mut next = 0;
        self.ranges().all(|(range, taken)| {
            let follows = next <= range.start && range.start < range.end && range.end <= self.size;
            next = range.end;
            own += if taken.is_none() { range.end.saturating_sub(range.start) } else { 0 };
            follows
        }) && own == self.bytes.len() as u64
    }

    /// All ranges of the output, in their order, if they are in order; with what is taken for them.
    fn ranges(&self) -> impl Iterator<Item = (Range<u64>, Option<&Taken>)> {
        let mut taken = self.taken.iter().peekable();
        let mut own = self.own.iter().peekable();
        std::iter::from_fn(move || {
            let is_next =
                |taken: &&Taken| own.peek().is_none_or(|own: &&Range<u64>| taken.at < own.start);
            match taken.peek().copied().filter(is_next) {
                Some(next) => {
                    taken.next();
                    Some((next.at..next.at.saturating_add(next.size), Some(next)))
                }
                None => own.next().map(|range| (range.clone(), None)),
            }
        })
    }

    /// Makes the new file `to`, with holes where it is zero. `files` are the files that are taken from,
    /// by path and open. Returns it with its hash and how many bytes of it are shared.
    pub fn make(
        &self,
        files: &[(&Path, File)],
        to: &Path,
        sharing: Option<&dyn Sharing>,
    ) -> io::Result<(Hash, u64)> {
        let wrong = || io::Error::from(io::ErrorKind::InvalidData);
        let mut sources = Vec::new();
        for taken in self.taken.iter().filter(|_| sharing.is_some()) {
            let (path, _) = files.get(taken.file).ok_or_else(wrong)?;
            let range = taken.at..taken.at + taken.size;
            sources.push(Source { range, path, offset: taken.offset });
        }
        let new = contents::create(to)?;
        new.set_len(self.size)?;
        let mut out = ChunkWriter::new(&new, Hashing::default(), sharing, sources);
        let mut own = &self.bytes[..];
        for (range, taken) in self.ranges() {
            out.skip_to(range.start)?;
            let mut at = range.start;
            while at < range.end {
                let len = (range.end - at).min(out.room() as u64) as usize;
                match taken {
                    None => {
                        let (some, rest) = own.split_at_checked(len).ok_or_else(wrong)?;
                        out.put(some)?;
                        own = rest;
                    }
                    Some(taken) => {
                        let (_, file) = files.get(taken.file).ok_or_else(wrong)?;
                        let offset = taken.offset.checked_add(at - taken.at).ok_or_else(wrong)?;
                        out.put_with(len, |bytes| file.read_exact_at(bytes, offset))?;
                    }
                }
                at += len as u64;
            }
        }
        let (shared, hashing) = out.finish()?;
        let shared = shared.iter().map(|range| range.end - range.start).sum();
        Ok((hashing.finish(self.size), shared))
    }
}

/// Of an output of `len` bytes: what stems from files, by the manifest; ascending.
fn stems(manifest: &Manifest, len: u64) -> Vec<Taken> {
    let mut stems = Vec::new();
    for (file, embedded) in manifest.files.iter().enumerate() {
        for memory in &embedded.memory {
            if let (Some(offset), Some(at)) = (memory.file_offset, memory.stored_at) {
                stems.push(Taken { at, size: memory.size, file, offset });
            }
        }
    }
    let program = manifest.files.iter().position(|file| file.kind == FileKind::Program);
    for (part, place) in manifest.unloaded.iter().zip(manifest.unloaded_at(len).unwrap_or_default())
    {
        let file = program.unwrap_or_default();
        stems.push(Taken { at: place.start, size: part.size, file, offset: part.file_offset });
    }
    stems.sort_unstable_by_key(|stem| stem.at);
    stems
}

fn read_up_to(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(len) => done += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Hashes a file while it is written.
#[derive(Default)]
struct Hashing {
    hash: blake3::Hasher,
    done: u64,
}

impl Hashing {
    /// Up to this offset, where nothing comes but a hole.
    fn skip_to(&mut self, offset: u64) {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        while self.done < offset {
            let len = (offset - self.done).min(ZEROS.len() as u64);
            self.hash.update(&ZEROS[..len as usize]);
            self.done += len;
        }
    }

    fn finish(mut self, size: u64) -> Hash {
        self.skip_to(size);
        self.hash.finalize().to_hex().to_string()
    }
}

impl Watch for Hashing {
    fn see(&mut self, at: u64, chunk: &[u8]) {
        debug_assert!(chunk.len() <= CHUNK);
        self.skip_to(at);
        let new = &chunk[(self.done - at) as usize..];
        self.hash.update(new);
        self.done += new.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        let mut recipe = Recipe { size: 5 * PAGE + 100, ..Recipe::default() };
        recipe.take(0, PAGE as usize, 0, PAGE);
        recipe.take(PAGE, PAGE as usize, 0, 2 * PAGE);
        recipe.add(2 * PAGE, &[7; PAGE as usize]);
        recipe.add(3 * PAGE, &[0; PAGE as usize]);
        recipe.take(4 * PAGE, PAGE as usize, 1, 0);
        recipe.add(5 * PAGE, &[9; 100]);
        recipe
    }

    #[test]
    fn what_was_packed_is_unpacked_and_made() {
        let recipe = recipe();
        assert_eq!((recipe.taken.len(), recipe.own.len()), (2, 2));
        let packed = recipe.pack().unwrap();
        assert!(packed.len() < 400, "{}", packed.len());
        let unpacked = Recipe::unpack(&packed, recipe.size).unwrap();
        assert_eq!(unpacked, recipe);
        let dir = tempfile::tempdir().unwrap();
        let pages = |bytes: &[u8]| {
            bytes.iter().flat_map(|&byte| [byte; PAGE as usize]).collect::<Vec<u8>>()
        };
        let mut files = Vec::new();
        for (index, bytes) in [&[1, 2, 3][..], &[4]].into_iter().enumerate() {
            let path = dir.path().join(index.to_string());
            std::fs::write(&path, pages(bytes)).unwrap();
            files.push((Path::new("/file"), File::open(path).unwrap()));
        }
        let to = dir.path().join("to");
        let (hash, shared) = unpacked.make(&files, &to, None).unwrap();
        let made = std::fs::read(&to).unwrap();
        assert_eq!(made, [pages(&[2, 3, 7, 0, 4]), vec![9; 100]].concat());
        assert_eq!((hash, shared), (blake3::hash(&made).to_hex().to_string(), 0));
        files.pop();
        assert!(unpacked.make(&files, &dir.path().join("other"), None).is_err());
    }

    #[test]
    fn what_is_no_recipe_is_an_error() {
        let recipe = recipe();
        let (size, packed) = (recipe.size, recipe.pack().unwrap());
        assert!(Recipe::unpack(&packed, size + 1).is_err());
        for len in 0..packed.len() {
            assert!(Recipe::unpack(&packed[..len], size).is_err(), "{len}");
        }
        let other = |change: &dyn Fn(&mut Recipe)| {
            let mut other = recipe.clone();
            change(&mut other);
            Recipe::unpack(&other.pack().unwrap(), size)
        };
        assert!(other(&|_| ()).is_ok());
        assert!(other(&|recipe| recipe.bytes.truncate(1)).is_err());
        assert!(other(&|recipe| recipe.bytes.push(1)).is_err());
        assert!(other(&|recipe| recipe.taken[0].size = 0).is_err());
        assert!(other(&|recipe| recipe.taken[0].size += 1).is_err());
        assert!(other(&|recipe| recipe.taken[1].at = u64::MAX).is_err());
        assert!(other(&|recipe| recipe.own[1].end += 1).is_err());
        assert!(other(&|recipe| recipe.own.swap(0, 1)).is_err());
    }
}
