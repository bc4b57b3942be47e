//! What is asked of a file system in an image, whichever it is.

/// No directory has more entries.
pub const MOST_ENTRIES: usize = 1 << 21;

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: Vec<u8>,
    /// What it names.
    pub kind: Kind,
    /// Of a file, in bytes.
    pub len: u64,
    /// Permissions.
    pub mode: u16,
    /// The numbers of user and group.
    pub owner: (u32, u32),
    /// What its file system calls it by, if not by paths.
    pub number: u64,
}

/// What a name can stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
}

/// A file that is read from its beginning to its end. An error is a sentence.
pub type Contents<'a> = Box<dyn FnMut(&mut [u8]) -> Result<usize, String> + 'a>;

/// A file system. Paths are absolute, of names and slashes; an error is a sentence.
pub trait FileSystem {
    /// What is in a directory, sorted by name.
    fn entries(&self, directory: &[u8]) -> Result<Vec<Entry>, String>;

    /// Where a symbolic link leads to; its path and its name in the directory.
    fn target(&self, link: &[u8], entry: &Entry) -> Result<Vec<u8>, String>;

    /// The contents of a regular file; its path and its name in the directory.
    fn open(&self, file: &[u8], entry: &Entry) -> Result<Contents<'_>, String>;
}
