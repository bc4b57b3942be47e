//! What can be wrong with an archive, as the end of a sentence that begins with its name.

use std::io;

/// What is wrong: a clause, without the file's name.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file's own bytes, or what they were compressed from.
    #[error("it cannot be read: {0}")]
    Read(#[source] io::Error),
    /// Less is there than was announced.
    #[error("it ends in the middle of {0}; get a whole copy of it")]
    Truncated(String),
    /// No header where one must be.
    #[error("at byte {0} of the archive there is no header, so it is damaged, or no tar archive")]
    NoHeader(u64),
    /// Another compression.
    #[error("it is compressed by {0}, which is not supported; decompress it first")]
    Compression(&'static str),
    /// One member is not as it must be.
    #[error("its member {0} {1}, so it is not converted")]
    Member(String, &'static str),
    /// One member cannot be made a file.
    #[error("its member {0} cannot be unpacked: {1}")]
    Unpack(String, #[source] io::Error),
    /// What is made of it.
    #[error("what is made of it cannot be written: {0}")]
    Write(#[source] io::Error),
}

/// A result of reading, unpacking or writing an archive.
pub type Result<T, E = Fault> = std::result::Result<T, E>;
