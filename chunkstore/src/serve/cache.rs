//! Chunks kept on the disk: a file for each, named as the chunk. Any number of processes may use a cache, and be killed at any
//! time: files appear whole, and each is held against its name when it is read. One that is not what its name says is removed.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FlockOperation, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use statify_files::{beneath, trusted};

use crate::name::{ChunkName, from_hex};

/// When room was made, so much of the limit is used.
const KEPT: (u64, u64) = (9, 10);
/// When so much of the limit was added they are counted again: others add, too.
const UNCOUNTED: u64 = 32;
/// Whoever removes chunks holds this file's lock.
const LOCK: &str = "lock";

/// A cache.
#[derive(Debug)]
pub struct Cache {
    directory: File,
    /// The most bytes of all files together.
    limit: u64,
    /// About how many there are: counted now and then, and what this process has added since.
    used: AtomicU64,
    /// What this process has added since they were counted,
    added: AtomicU64,
    /// and is adding.
    writing: AtomicU64,
    /// Whoever counts and makes room.
    counting: Mutex<()>,
}

impl Cache {
    /// Opens one, which is made if it is not there: a directory that nobody else may write to.
    pub fn open(path: &Path, limit: u64) -> io::Result<Self> {
        let directory = trusted::own_directory(path, true)?.dir;
        let cache = Self {
            directory,
            limit,
            used: AtomicU64::new(0),
            added: AtomicU64::new(0),
            writing: AtomicU64::new(0),
            counting: Mutex::new(()),
        };
        cache.make_room()?;
        Ok(cache)
    }

    /// A chunk's bytes, if they are there and are what its name says.
    pub fn get(&self, name: &ChunkName, len: usize) -> Option<Vec<u8>> {
        let text = name.to_string();
        let file = beneath::file(&self.directory, Path::new(&text)).ok()?;
        let mut bytes = Vec::with_capacity(len + 1);
        let read = (&file).take(len as u64 + 1).read_to_end(&mut bytes);
        if read.is_err() || bytes.len() != len || ChunkName::of(&bytes) != *name {
            let _ = beneath::remove_file(&self.directory, OsStr::new(&text));
            return None;
        }
        // Used just now, whatever that costs: who makes room looks at it.
        let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let _ =
            rustix::fs::futimens(&file, &Timestamps { last_access: omit, last_modification: now });
        Some(bytes)
    }

    /// Keeps a chunk's bytes. Where that fails, such as on a full disk, nothing is lost but time; nor where there is no room because
    /// somebody else makes it just now.
    pub fn put(&self, name: &ChunkName, bytes: &[u8]) {
        let len = bytes.len() as u64;
        self.writing.fetch_add(len, Ordering::Relaxed);
        if self.is_full() || self.added.load(Ordering::Relaxed) > self.limit / UNCOUNTED {
            let _ = self.make_room();
        }
        if !self.is_full() && self.write(name, bytes).is_ok() {
            self.used.fetch_add(len, Ordering::Relaxed);
            self.added.fetch_add(len, Ordering::Relaxed);
        }
        self.writing.fetch_sub(len, Ordering::Relaxed);
    }

    fn is_full(&self) -> bool {
        self.used.load(Ordering::Relaxed) + self.writing.load(Ordering::Relaxed) > self.limit
    }

    fn write(&self, name: &ChunkName, bytes: &[u8]) -> io::Result<()> {
        let mut new =
            tempfile::Builder::new().prefix(".new-").tempfile_in(beneath::link(&self.directory))?;
        new.write_all(bytes)?;
        new.persist(beneath::at(&self.directory, name.to_string()))?;
        Ok(())
    }

    /// Counts, and where there is no room removes what was not used for longest. One thread of a process counts at a time, and one
    /// process removes.
    fn make_room(&self) -> io::Result<()> {
        let Ok(_counting) = self.counting.try_lock() else { return Ok(()) };
        let mut files = self.files()?;
        let used = files.iter().map(|file| file.size).sum();
        self.used.store(used, Ordering::Relaxed);
        self.added.store(0, Ordering::Relaxed);
        if !self.is_full() {
            return Ok(());
        }
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(beneath::at(&self.directory, LOCK))?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(());
        }
        files.sort_by_key(|file| file.used);
        let mut left = used + self.writing.load(Ordering::Relaxed);
        for file in files {
            if left <= self.limit / KEPT.1 * KEPT.0 {
                break;
            }
            match beneath::remove_file(&self.directory, OsStr::new(&file.name)) {
                // One that was damaged may be gone by now.
                Err(error) if !beneath::is_gone(&error) => return Err(error),
                _ => {
                    left -= file.size;
                    self.used.fetch_sub(file.size, Ordering::Relaxed);
                }
            }
        }
        Ok(())
    }

    /// The files of chunks; what somebody began to write and never finished is removed on the way.
    fn files(&self) -> io::Result<Vec<Kept>> {
        /// Nobody writes a chunk for so long, in seconds.
        const FORGOTTEN: i64 = 3600;
        let mut files = Vec::new();
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
        for entry in std::fs::read_dir(beneath::link(&self.directory))? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            // Gone again meanwhile.
            let Ok(stat) = entry.metadata() else { continue };
            if from_hex(&name).is_some() {
                let used = (stat.mtime(), stat.mtime_nsec());
                files.push(Kept { name, size: stat.len(), used });
            } else if name.starts_with(".new-") && now - stat.mtime() > FORGOTTEN {
                let _ = beneath::remove_file(&self.directory, OsStr::new(&name));
            }
        }
        Ok(files)
    }
}

/// A file.
struct Kept {
    name: String,
    size: u64,
    /// When it was last used, in seconds and nanoseconds.
    used: (i64, i64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        let cache = Cache::open(&path, 1 << 20).unwrap();
        let bytes = vec![7; 4096];
        let name = ChunkName::of(&bytes);
        assert_eq!(cache.get(&name, 4096), None);
        cache.put(&name, &bytes);
        assert_eq!(cache.get(&name, 4096), Some(bytes.clone()));
        let file = path.join(name.to_string());
        for damaged in [&bytes[1..], &[&bytes[..], b"x"].concat(), &[8; 4096]] {
            std::fs::write(&file, damaged).unwrap();
            assert_eq!(cache.get(&name, 4096), None);
            assert!(!file.exists());
        }
    }

    #[test]
    fn the_least_used_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("cache"), 10 * 4096).unwrap();
        let chunk = |number: u8| vec![number; 4096];
        let name = |number: u8| ChunkName::of(&chunk(number));
        for number in 0..10 {
            cache.put(&name(number), &chunk(number));
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!(cache.get(&name(0), 4096).is_some());
        cache.put(&name(10), &chunk(10));
        let there: Vec<u8> = (0..11).filter(|n| cache.get(&name(*n), 4096).is_some()).collect();
        assert_eq!(there, [0, 3, 4, 5, 6, 7, 8, 9, 10]);
    }
}
