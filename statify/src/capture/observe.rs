//! What a process asks the kernel for that concerns files: which it opens, by what names, which it
//! maps executable, and the instructions by which it asks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use statify_elf::machine::{Registers, numbers};

use super::block::{Files, Object};
use super::rearrange::read_maps;

/// Longer paths the kernel refuses.
const LONGEST_PATH: usize = 4096;
const PAGE: usize = statify_elf::PAGE as usize;

/// `st_dev` and `st_ino`.
pub type FileId = (u64, u64);

/// An instruction that makes system calls.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallSite {
    /// The file it is in, as the kernel names it.
    pub path: PathBuf,
    /// Where in the file the next instruction is.
    pub offset: u64,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Observation {
    /// Files that were opened for reading: the names that were asked for.
    pub opened: BTreeMap<FileId, BTreeSet<Vec<u8>>>,
    /// Files that were mapped executable, in order.
    pub mapped: Vec<Object>,
    /// Files that were opened, by the instructions that did it.
    pub openers: BTreeMap<CallSite, BTreeSet<FileId>>,
    /// Instructions that asked for the state of a file.
    pub askers: BTreeSet<CallSite>,
    /// Names that could not be opened.
    pub missing: BTreeSet<Vec<u8>>,
}

/// Sees the calls of any number of threads and processes.
#[derive(Debug, Default)]
pub struct Observer {
    files: Files,
    seen: Observation,
    /// The call that a thread is in.
    current: HashMap<Pid, Entered>,
    /// Instructions by process and address.
    sites: HashMap<(Pid, u64), Option<CallSite>>,
}

#[derive(Debug)]
enum Entered {
    Open { name: Vec<u8>, writes: bool, site: Option<CallSite> },
    MapExecutable { fd: u64 },
    Other,
}

impl Observer {
    /// Sees nothing yet; `files` are those that are mapped here already.
    pub fn new(files: Files) -> Self {
        Self { files, ..Self::default() }
    }

    /// Ends.
    pub fn finish(self) -> Observation {
        self.seen
    }

    /// A thread is at a system call's entry or exit.
    pub fn call(&mut self, thread: Pid, regs: &Registers) {
        match self.current.remove(&thread) {
            None => {
                let entered = self.enter(thread, regs);
                self.current.insert(thread, entered);
            }
            Some(entered) => self.leave(thread, entered, regs.result() as i64),
        }
    }

    /// A thread is gone.
    pub fn forget(&mut self, thread: Pid) {
        self.current.remove(&thread);
        self.sites.retain(|(owner, _), _| *owner != thread);
    }

    /// Nothing has been seen of a thread.
    pub fn is_new(&self, thread: Pid) -> bool {
        !self.current.contains_key(&thread) && !self.sites.keys().any(|(owner, _)| *owner == thread)
    }

    /// A thread executes a program: it is in that call, and its memory is new.
    pub fn executed(&mut self, thread: Pid) {
        self.forget(thread);
        self.current.insert(thread, Entered::Other);
    }

    fn enter(&mut self, thread: Pid, regs: &Registers) -> Entered {
        let (number, args) = regs.call();
        match number {
            numbers::SYS_open | numbers::SYS_openat => {
                let first = usize::from(number == numbers::SYS_openat);
                let directory = (number == numbers::SYS_openat).then_some(args[0] as i32);
                let Some(name) = read_string(thread, args[first]) else { return Entered::Other };
                if directory.is_some_and(|fd| fd != libc::AT_FDCWD) && !name.starts_with(b"/") {
                    return Entered::Other;
                }
                let writes = args[first + 1] & (libc::O_ACCMODE | libc::O_CREAT) as u64 != 0;
                Entered::Open { name, writes, site: self.site(thread, regs) }
            }
            numbers::SYS_stat
            | numbers::SYS_fstat
            | numbers::SYS_newfstatat
            | numbers::SYS_statx => {
                let site = self.site(thread, regs);
                self.seen.askers.extend(site);
                Entered::Other
            }
            numbers::SYS_mmap if args[2] & libc::PROT_EXEC as u64 != 0 && args[4] as i32 >= 0 => {
                let anonymous = args[3] & libc::MAP_ANONYMOUS as u64 != 0;
                if anonymous { Entered::Other } else { Entered::MapExecutable { fd: args[4] } }
            }
            _ => Entered::Other,
        }
    }

    fn leave(&mut self, thread: Pid, entered: Entered, result: i64) {
        let failed = (-4095..0).contains(&result);
        match entered {
            Entered::Open { name, .. } if failed => {
                self.seen.missing.insert(name);
            }
            Entered::Open { name, writes: false, site } => {
                let Ok(metadata) = std::fs::metadata(descriptor(thread, result as u64)) else {
                    return;
                };
                if !metadata.is_file() {
                    return;
                }
                let id = (metadata.dev(), metadata.ino());
                self.seen.opened.entry(id).or_default().insert(name);
                if let Some(site) = site {
                    self.seen.openers.entry(site).or_default().insert(id);
                }
            }
            Entered::MapExecutable { fd } if !failed => {
                let object = self.files.of_process(thread, &format!("fd/{}", fd as i32));
                if let Ok(object) = object
                    && self.seen.mapped.iter().all(|known| known.id != object.id)
                {
                    self.seen.mapped.push(object);
                }
            }
            _ => {}
        }
    }

    /// The program's instruction that made the call that the thread is in.
    fn site(&mut self, thread: Pid, regs: &Registers) -> Option<CallSite> {
        let next = regs.behind_call(|address, to| read_exactly(thread, address, to));
        let find = || {
            let maps = read_maps(thread).ok()?;
            let mapping = maps.into_iter().find(|mapping| mapping.range.contains(&next))?;
            let offset = mapping.offset + (next - mapping.range.start);
            let path = PathBuf::from(std::ffi::OsStr::from_bytes(&mapping.name));
            (mapping.inode != 0).then_some(CallSite { path, offset })
        };
        self.sites.entry((thread, next)).or_insert_with(find).clone()
    }
}

fn descriptor(thread: Pid, fd: u64) -> String {
    format!("/proc/{thread}/fd/{}", fd as i32)
}

/// Fills `to` with the process's memory from an address on. `false` if that is not all there.
fn read_exactly(process: Pid, address: u64, to: &mut [u8]) -> bool {
    let memory = File::open(format!("/proc/{process}/mem"));
    memory.and_then(|memory| memory.read_exact_at(to, address)).is_ok()
}

/// A string of the process, without its NUL.
pub(super) fn read_string(process: Pid, mut address: u64) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    while text.len() < LONGEST_PATH {
        // Up to the end of a page: the next one may not be there.
        let len = PAGE - address as usize % PAGE;
        let mut chunk = vec![0; len];
        let remote = [RemoteIoVec { base: address as usize, len }];
        let mut local = [std::io::IoSliceMut::new(&mut chunk)];
        let got = process_vm_readv(process, &mut local, &remote).ok()?;
        let chunk = &chunk[..got];
        if let Some(end) = chunk.iter().position(|&byte| byte == 0) {
            text.extend(&chunk[..end]);
            return Some(text);
        }
        text.extend(chunk);
        address += got as u64;
        if got < len {
            return None;
        }
    }
    None
}
