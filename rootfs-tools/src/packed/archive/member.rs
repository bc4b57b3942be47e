//! A member of a tar archive, with the very bytes of its headers, and the headers of what takes its place.

use std::path::PathBuf;

use statify_files::path_text;
use tar::Header;

use super::header::{NAME, extension, is_of_contents, set_name, without_contents};
use super::pax::Records;
use super::sparse::Map;

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// With contents.
    File,
    /// Another name of a file.
    Link,
    /// To be followed.
    Symlink,
    /// What is not to be opened when programs are looked for.
    Device,
    /// A named pipe.
    Fifo,
    /// May hold others.
    Directory,
    /// Nothing that is unpacked: records for all that follow, a volume's label.
    Other,
}

/// A member, up to its contents.
#[derive(Debug)]
pub struct Member {
    /// Its path, as it is written there.
    pub name: Vec<u8>,
    /// What a link refers to.
    pub link: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Its header.
    pub header: Header,
    /// The PAX records that it is subject to.
    pub records: Records,
    /// How many bytes of contents are in the archive.
    pub stored: u64,
    /// How many the file has, and where they are, if it has holes.
    pub holes: Option<(Map, u64)>,
    /// Everything in front of the contents, as it was.
    pub raw: Vec<u8>,
    /// What `raw` consists of: types and the ends of their blocks.
    pub(super) parts: Vec<(u8, usize)>,
}

impl Member {
    /// Its path, as it is written there.
    pub fn path(&self) -> PathBuf {
        use std::os::unix::ffi::OsStringExt;
        PathBuf::from(std::ffi::OsString::from_vec(self.name.clone()))
    }

    /// Its name, for messages.
    pub fn shown(&self) -> String {
        path_text::to_text(&self.path())
    }

    /// The header of this member once it is a converted program of `size` bytes: all the rest as it was.
    pub fn converted(&self, size: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut start = 0;
        for &(kind, end) in &self.parts {
            let part = &self.raw[start..end];
            start = end;
            match kind {
                b'x' | b'X' => bytes.extend(without_contents(part)),
                b'L' | b'K' | b'g' => bytes.extend(part),
                _ => bytes.extend(self.main(size).as_bytes()),
            }
        }
        bytes
    }

    /// The header of a member that is like this one, under the name `name`: with contents of `size`
    /// bytes, or another name of `link`.
    pub fn placed(&self, name: &[u8], size: u64, link: Option<&[u8]>) -> Vec<u8> {
        let mut records = self
            .records
            .filter(|key| !is_of_contents(key) && !matches!(key, b"path" | b"linkpath"));
        let mut header = self.main(size);
        let bytes = header.as_mut_bytes();
        if self.kind == Kind::Directory {
            bytes[156] = b'5';
        }
        set_name(&mut bytes[..NAME], "path", name, &mut records);
        if bytes[257..263] == *b"ustar\0" {
            // The rest of a longer name.
            bytes[345..500].fill(0);
        }
        if let Some(link) = link {
            bytes[156] = b'1';
            set_name(&mut bytes[157..157 + NAME], "linkpath", link, &mut records);
        }
        header.set_cksum();
        let mut all = extension(&records, name);
        all.extend(header.as_bytes());
        all
    }

    /// The last of its headers.
    fn main(&self, size: u64) -> Header {
        let mut header = self.header.clone();
        let bytes = header.as_mut_bytes();
        if bytes[156] == b'S' {
            bytes[156] = b'0';
            // The map, whether it goes on behind the header, the real size.
            bytes[386..495].fill(0);
        }
        header.set_size(size);
        header.set_cksum();
        header
    }
}
