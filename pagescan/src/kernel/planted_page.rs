//! A page of this process of which is known what it holds and in which frame, so that it can be looked for.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::ptr::NonNull;

use rustix::fs::MemfdFlags;
use rustix::mm::{MapFlags, ProtFlags};

use super::lack::Lack;

/// So often it is looked for.
const TRIES: usize = 4;

/// The page: the only one of a file in memory (memfd_create(2)).
pub(super) struct PlantedPage {
    file: OwnedFd,
    start: NonNull<u8>,
    bytes: Vec<u8>,
}

impl PlantedPage {
    /// Makes one that differs from all others.
    pub fn new() -> Result<Self, Lack> {
        Self::make().map_err(|error| Lack::File(PathBuf::from("memfd"), error))
    }

    fn make() -> io::Result<Self> {
        let mut bytes = vec![0; rustix::param::page_size()];
        let got = rustix::rand::getrandom(&mut bytes[..32], rustix::rand::GetRandomFlags::empty())?;
        if got != 32 {
            return Err(io::Error::other("there are no random numbers"));
        }
        let seed = blake3::hash(&bytes[..32]);
        blake3::Hasher::new_keyed(seed.as_bytes()).finalize_xof().fill(&mut bytes);
        let file = File::from(rustix::fs::memfd_create("pagescan", MemfdFlags::CLOEXEC)?);
        file.write_all_at(&bytes, 0)?;
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: a new mapping, at an address that the kernel chooses. It is there to have an entry in the page table.
        let start = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), bytes.len(), ProtFlags::READ, flags, &file, 0)?
        };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { file: file.into(), start, bytes })
    }

    /// What it holds.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The file's descriptor.
    pub fn fd(&self) -> u64 {
        self.file.as_raw_fd() as u64
    }

    /// The number of the frame that it is in now. The kernel may move it.
    pub fn frame(&self) -> Result<u64, Lack> {
        const FILE: &str = "/proc/self/pagemap";
        let failed = |error| Lack::File(PathBuf::from(FILE), error);
        let page = self.start.as_ptr() as u64 / self.bytes.len() as u64;
        let file = File::open(FILE).map_err(failed)?;
        for _ in 0..TRIES {
            let mut entry = [0; 8];
            file.read_exact_at(&mut entry, page * 8).map_err(failed)?;
            // Bits 0-54 are the frame, bit 63 says that there is one (Documentation/admin-guide/mm/pagemap.rst).
            let entry = u64::from_ne_bytes(entry);
            let frame = entry & ((1 << 55) - 1);
            match entry >> 63 {
                1 if frame > 0 => return Ok(frame),
                1 => return Err(Lack::FrameNumbers),
                _ => self.wait_until_it_is_there(),
            }
        }
        Err(Lack::FrameNumbers)
    }

    /// While the kernel moves it to another frame it is in none.
    fn wait_until_it_is_there(&self) {
        // SAFETY: it is mapped as long as this lives, and nobody writes to it.
        unsafe { self.start.as_ptr().read_volatile() };
    }
}

impl Drop for PlantedPage {
    fn drop(&mut self) {
        // SAFETY: it was mapped by `make`, and nobody has its address. Where that fails it stays mapped, which harms nobody.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.bytes.len()) };
    }
}
