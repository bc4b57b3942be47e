//! The agent: what stays in a converted program that has plugins, and answers the loader's
//! questions for files. Its format, shared by source between the agent's image, which reads it, and
//! `statify`, which writes it.
//!
//! The loader's `syscall` instructions that open files and ask for their state jump to the agent
//! (the image in `agent/`), which answers from the embedded files or makes the call:
//!
//! ```text
//! executable:  | AgentParams | agent's code | a trampoline for each redirected instruction |
//! read-only:   | files | names | directories | strings | embedded file | embedded file ...
//!              ^ the index
//! ```
//!
//! All integers are little-endian; offsets count in bytes from the index's start.

/// First word of [`AgentParams`].
pub const AGENT_MAGIC: u64 = u64::from_le_bytes(*b"st-agent");

/// Room behind the loader for the agent and its trampolines, in bytes.
pub const AGENT_ROOM: u64 = 16 << 10;

/// What the agent needs to know; ends where its code begins.
#[repr(C)]
#[cfg_attr(
    feature = "bytes",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentParams {
    /// [`AGENT_MAGIC`].
    pub magic: u64,
    /// Address of the index minus the address of this structure (wrapping).
    pub index: u64,
    /// A sum of `POLICY_*`.
    pub policy: u64,
    /// Number of [`File`] records, which the index begins with.
    pub files: u32,
    /// Number of [`Name`] records, behind the files.
    pub names: u32,
    /// Number of [`Directory`] records, behind the names.
    pub directories: u32,
    /// Zero; keeps the code at a multiple of 16.
    pub reserved: u32,
    /// Zero.
    pub padding: u64,
}

/// The loader gets no library from the host.
pub const POLICY_DENY: u64 = 1;
/// The loader's calls that read and map files are redirected, too: plugins can be mapped from the
/// output itself.
pub const POLICY_OWN_FILE: u64 = 2;

/// Which code a redirected instruction belongs to, in the register that the call destroys anyway.
pub const SITE_LOADER: u32 = 1;
/// The C library, which reads data files by itself.
pub const SITE_LIBRARY: u32 = 2;

/// An embedded file.
#[repr(C)]
#[cfg_attr(
    feature = "bytes",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// One of the `FILE_*`.
    pub kind: u32,
    /// `st_ino` of the file, as the loader sees it; `st_dev` is [`FILE_DEVICE`].
    pub number: u32,
    /// The file's size, in bytes.
    pub size: u64,
    /// Where it lies in the output, in bytes from its start; 0 if not as a whole.
    pub output: u64,
    /// Bytes of the file that are in memory: they tell whether another file is the same. For all but
    /// modules the first is the whole file.
    pub parts: [Part; 2],
}

/// Bytes of a file.
#[repr(C)]
#[cfg_attr(
    feature = "bytes",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Where they are in memory: from the index's start (wrapping).
    pub at: u64,
    /// Where they are in the file.
    pub offset: u64,
    /// How many.
    pub len: u64,
}

/// A library that the program may open; the whole file is embedded.
pub const FILE_PLUGIN: u32 = 1;
/// A module that is loaded from the start.
pub const FILE_MODULE: u32 = 2;
/// A file that the C library reads.
pub const FILE_DATA: u32 = 3;

/// A name under which a file is asked for.
#[repr(C)]
#[cfg_attr(
    feature = "bytes",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Name {
    /// The file, by index.
    pub file: u32,
    /// One of the `NAME_*`.
    pub kind: u32,
    /// Offset of its text.
    pub text: u32,
    /// Length of its text.
    pub len: u32,
}

/// The path as it is.
pub const NAME_PATH: u32 = 1;
/// The last component, in a directory where libraries are looked for by name.
pub const NAME_IN_SYSTEM: u32 = 2;

/// A directory that the loader may ask for.
#[repr(C)]
#[cfg_attr(
    feature = "bytes",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    /// Whether libraries are looked for by name in it: 1 or 0.
    pub is_system: u32,
    /// Offset of its text.
    pub text: u32,
    /// Length of its text.
    pub len: u32,
    /// Zero.
    pub reserved: u32,
}

/// `st_dev` of embedded files. The kernel's device numbers have 32 bits (new_encode_dev in
/// linux/kdev_t.h), so no file has this one.
pub const FILE_DEVICE: u64 = u64::from_le_bytes(*b"embedded");

/// Seconds of `st_mtime` of what the agent serves; the nanoseconds are the file's number. Together
/// with a link count of 0 that tells it from every other file.
pub const SERVED_SECONDS: u64 = 0x5374_6174;

/// The most files: a number is a count of nanoseconds.
pub const MOST_FILES: usize = 999_999_999;

/// The end of the name of a library that does not exist. The loader's message quotes it.
pub const REFUSAL: &[u8] = b" is a library of the host, which --host-libs deny refuses";
