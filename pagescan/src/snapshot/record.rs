//! What a snapshot consists of, in the order in which it is found.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::block::FrameBlock;
use super::flags::PageFlags;
use crate::hash::Algorithm;

/// A part of a snapshot. `Header` comes first and `Totals` last; a `Mapping` belongs to the `Process` before it,
/// `Runs` to the `Mapping` or `File` before them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// When, where and how.
    Header(Header),
    /// Frames, in the order of their indexes.
    Frames(FrameBlock),
    /// A process.
    Process(Process),
    /// A part of its address space.
    Mapping(Mapping),
    /// Which frames are where in it.
    Runs(Vec<Run>),
    /// A file of which pages are in memory. Those that mappings name come before them.
    File(File),
    /// That is all.
    Totals(Totals),
}

/// When, where and how a snapshot was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// When it was begun, in nanoseconds since 1970.
    pub taken: u64,
    /// The machine's name.
    pub host: String,
    /// Of the time since the machine was started (/proc/sys/kernel/random/boot_id): frame numbers of one mean the same.
    pub boot: String,
    /// The kernel's release.
    pub kernel: String,
    /// Bytes of a page.
    pub page_size: u32,
    /// Bytes of memory that the machine has (MemTotal).
    pub memory: u64,
    /// How contents were hashed.
    pub algorithm: Algorithm,
    /// Of the key, if there is one: hashes of different ones cannot be compared.
    pub key_id: Option<[u8; 8]>,
    /// What was asked for.
    pub scope: Scope,
    /// How contents were read.
    pub means: Means,
    /// What cannot be in it, and why, in sentences.
    pub lacks: Vec<String>,
}

/// What a snapshot is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Processes that were named.
    Processes,
    /// All processes.
    All,
    /// All memory, by frame.
    Ram,
    /// The page cache.
    Cache,
    /// What processes that emulate or run machines give those as memory.
    Guests,
    /// The processes of a control group. Its path below the root of the hierarchy.
    Cgroup(String),
}

/// How contents of pages were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Means {
    /// By frame, from the kernel's map of all memory.
    Frame,
    /// By /proc/PID/mem.
    Process,
}

/// A process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it was started, in clock ticks since the machine was: with `pid` it is this process and no other.
    pub start: u64,
    /// Its name (/proc/PID/comm).
    pub name: String,
    /// The file that it executes, as /proc/PID/exe has it.
    #[serde(with = "serde_bytes")]
    pub exe: Vec<u8>,
    /// Whose it is (effective).
    pub uid: u32,
    /// The control group that it is in, below the root of the hierarchy.
    pub cgroup: String,
    /// Bytes of its address space (VmSize).
    pub size: u64,
    /// Bytes that it was promised: private and writable (VmData and VmStk).
    pub committed: u64,
    /// Bytes in swap (VmSwap).
    pub swapped: u64,
    /// Where its code lies (/proc/PID/stat: startcode, endcode).
    pub code: Range<u64>,
    /// Where its heap lies.
    pub heap: Range<u64>,
    /// Where its first thread's stack lies.
    pub stack: Range<u64>,
}

/// A part of an address space.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// Its addresses.
    pub range: Range<u64>,
    /// PROT_*.
    pub prot: u32,
    /// MAP_SHARED.
    pub is_shared: bool,
    /// VmFlags of /proc/PID/smaps, separated by blanks; empty if it was not read.
    pub flags: String,
    /// The file, an index into the snapshot's files.
    pub file: Option<u32>,
    /// Offset in it, in bytes.
    pub offset: u64,
    /// A name that is no file's, such as `[heap]`.
    pub name: String,
    /// Pages of it that are in swap.
    pub swapped: u64,
}

/// Pages that follow one another, in frames whose indexes do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The first page: its number in the mapping or file, less that of the page behind the run before.
    pub skip: u64,
    /// The index of the first frame, less that of the frame behind the run before.
    pub step: i64,
    /// How many.
    pub len: u64,
    /// What the page table says of all of them; nothing for files.
    pub flags: PageFlags,
}

/// A file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// The file system's device, as stat(2) has it.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
    /// Its path, as far as one is known.
    #[serde(with = "serde_bytes")]
    pub path: Vec<u8>,
    /// Its size in bytes; 0 where that was not to be had.
    pub size: u64,
}

/// What there is in all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Frames of the snapshot.
    pub frames: u64,
    /// Pages of address spaces and files that are in them.
    pub pages: u64,
    /// When it was complete, in nanoseconds since 1970.
    pub taken: u64,
    /// Bytes that all processes of the machine were promised (Committed_AS).
    pub committed: u64,
    /// Bytes in swap.
    pub swapped: u64,
    /// What is not in it though it was asked for, and why, in sentences.
    pub lacks: Vec<String>,
}
