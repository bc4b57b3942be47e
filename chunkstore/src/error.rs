//! What can go wrong, each in one sentence that says what to do.

use std::io;
use std::path::PathBuf;

/// The reasons.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] statify_store::Error),
    /// A request to the store came to nothing. What was asked for, and why.
    #[error("{0}: {1}")]
    Request(String, #[source] io::Error),
    /// An image cannot be read.
    #[error("{path}: it cannot be read: {source}", path = statify_printable::path(.0), source = .1)]
    Image(PathBuf, #[source] io::Error),
    /// No image can be made of a directory. Which, and why.
    #[error("{path}: no image can be made of it: {1}", path = statify_printable::path(.0))]
    Tree(PathBuf, String),
    /// An image was written to while it was cut.
    #[error("{path}: it changed while it was cut; cut it again when nobody writes to it", path = statify_printable::path(.0))]
    Changed(PathBuf),
    /// What was to be written could not be.
    #[error("{path}: it cannot be written: {source}", path = statify_printable::path(.0), source = .1)]
    Output(PathBuf, #[source] io::Error),
    /// There is an index of this name, of another image.
    #[error(
        "the store has an index {0:?} of another image; give this one another name by --index, or remove that one first (chunkstore rm)"
    )]
    Exists(String),
    /// There is no such index.
    #[error("the store has no index {0:?}; chunkstore ls lists those that it has")]
    NoIndex(String),
    /// No index can be called so.
    #[error("{0:?} cannot be the name of an index: 1 to 200 letters, digits, '-', '_' and '.' can")]
    Label(String),
    /// An index that is none. Its name, and why.
    #[error("the index {0:?} is damaged: {1}")]
    Index(String, &'static str),
    /// A pack that is none. Its name, and why.
    #[error("the pack {0} is damaged: {1}")]
    Pack(String, &'static str),
    /// A chunk is not what its name says.
    #[error("the chunk {0} in the pack {1} is damaged: {2}")]
    Chunk(String, String, &'static str),
    /// An index of casync or desync that is none, or is not taken. Which, and why.
    #[error("{path}: it is no index of an image that can be imported: {1}", path = statify_printable::path(.0))]
    Caibx(PathBuf, &'static str),
    /// A chunk of casync or desync that cannot be had. Where, its id, and why.
    #[error("{path}: the chunk {1} {2}", path = statify_printable::path(.0))]
    Castr(PathBuf, String, String),
    /// An index that was not signed as it must be. Its name, and why.
    #[error("the index {0:?} is not taken: {1}")]
    NotSigned(String, String),
    /// What was given as a public key is none, and why.
    #[error(
        "{0:?} is no public key: {1}; give the file that minisign -G wrote (minisign.pub), or the key in it"
    )]
    PublicKey(String, String),
    /// A file that is no secret key, and why.
    #[error("{path}: it cannot be signed with: {why}", path = statify_printable::path(.0), why = .1)]
    SecretKey(PathBuf, String),
    /// An index could not be signed, and why.
    #[error("the index {0:?} cannot be signed: {1}")]
    Signing(String, String),
    /// A file of certificates that cannot be used, and why.
    #[error(
        "{path}: it cannot be used for TLS: {why}; ca-cert.pem, server-cert.pem and server-key.pem are needed, as QEMU and nbdkit have them",
        path = statify_printable::path(.0),
        why = .1
    )]
    Certificates(PathBuf, String),
    /// What the index needs is not in the store any more.
    #[error(
        "packs that the image needs were removed from the store meanwhile; run the same command again"
    )]
    Removed,
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
