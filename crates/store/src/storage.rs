//! What is asked of the place where blobs lie.

use std::fmt::Debug;
use std::io;
use std::time::SystemTime;

/// Where blobs lie in a store: in one of the folders at the top, or in a folder within one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folder<'a> {
    /// One of [`crate::Purpose::folders`].
    pub(crate) top: &'static str,
    /// The one within it.
    pub(crate) within: Option<&'a str>,
}

impl Folder<'static> {
    /// A folder at the top: one of [`crate::Purpose::folders`].
    pub fn top(name: &'static str) -> Self {
        Self { top: name, within: None }
    }
}

impl<'a> Folder<'a> {
    /// The folder `name` within the one of the same top; a plain name. It is made when a blob is put into it.
    pub fn within(self, name: &'a str) -> Self {
        Self { top: self.top, within: Some(name) }
    }
}

/// Keeps blobs by folder and name, which is one that [`is_name`] accepts. A blob that is not there is
/// [`io::ErrorKind::NotFound`], but for [`Storage::size`].
pub trait Storage: Debug + Send + Sync {
    /// The names of blobs in a folder: at most `most`, in no order.
    fn list(&self, folder: Folder<'_>, most: usize) -> io::Result<Vec<String>>;

    /// The first `most` bytes of a blob, or all of a shorter one. It may be anything.
    fn get(&self, folder: Folder<'_>, name: &str, most: u64) -> io::Result<Vec<u8>>;

    /// The size of a blob, in bytes; `None` if it is not there.
    fn size(&self, folder: Folder<'_>, name: &str) -> io::Result<Option<u64>>;

    /// Bytes of a blob from `offset` on: `len`, or fewer at its end. They may be anything.
    fn get_range(
        &self,
        folder: Folder<'_>,
        name: &str,
        offset: u64,
        len: u64,
    ) -> io::Result<Vec<u8>>;

    /// Puts a blob there, in the place of one that may have the name.
    fn put(&self, folder: Folder<'_>, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Puts a blob there if none has the name: of several who do so, one succeeds. Returns whether it did.
    fn put_new(&self, folder: Folder<'_>, name: &str, bytes: &[u8]) -> io::Result<bool>;

    /// Puts the bytes `after` there in the place of the blob that has the bytes `before`. Returns whether it did: not if there is
    /// another by now, or none.
    fn replace(
        &self,
        folder: Folder<'_>,
        name: &str,
        before: &[u8],
        after: &[u8],
    ) -> io::Result<bool>;

    /// Removes a blob; one that is not there is no error.
    fn remove(&self, folder: Folder<'_>, name: &str) -> io::Result<()>;

    /// When a blob was put there; `None` if it is not there.
    fn modified(&self, folder: Folder<'_>, name: &str) -> io::Result<Option<SystemTime>>;

    /// That requests came to nothing, and why the first one did, as a sentence without its end, which may
    /// say what follows from it; `None` if all were answered.
    fn failures(&self) -> Option<String> {
        None
    }
}

/// Whether it can be the name of a blob: 64 hexadecimal digits, the larger ones in lower case.
pub fn is_name(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
