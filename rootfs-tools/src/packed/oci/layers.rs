//! Layers, one upon the other, become a tree.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};

use super::digest::{Digest, Hashed};
use super::whiteouts::{self, Whiteout};
use crate::error::archive::Fault as ArchiveFault;
use crate::error::image::{Fault, Result};
use crate::packed::archive::compression::{self, Compression};
use crate::packed::archive::member::{Kind, Member};
use crate::packed::archive::members::Members;
use crate::packed::archive::unpack::Unpacker;
use crate::tree::Tree;

/// The headers of files and directories that have been unpacked, each at a place of its own.
#[derive(Debug)]
pub struct Headers {
    file: BufWriter<File>,
    len: u64,
}

impl Headers {
    /// In a file that is new, and open for both.
    pub fn new(file: File) -> Self {
        Self { file: BufWriter::with_capacity(1 << 18, file), len: 0 }
    }

    /// Keeps a member's.
    fn keep(&mut self, member: &Member) -> io::Result<u64> {
        let at = self.len;
        self.file.write_all(&member.raw)?;
        self.len += member.raw.len() as u64;
        Ok(at)
    }

    /// The one at this place.
    pub fn get(&mut self, at: u64) -> Result<Member, ArchiveFault> {
        self.file.flush().map_err(ArchiveFault::Write)?;
        let mut file = self.file.get_ref();
        file.seek(SeekFrom::Start(at)).map_err(ArchiveFault::Read)?;
        let member = Members::new(file).next_member()?;
        member.ok_or_else(|| ArchiveFault::Truncated("the headers".into()))
    }
}

/// Holds a layer against the digest of its contents, and puts it onto the tree. Returns how it is
/// compressed.
pub fn apply(
    (blob, mut file): (&Digest, File),
    contents: &Digest,
    tree: &Tree,
    unpacker: &mut Unpacker<'_>,
    headers: &mut Headers,
) -> Result<Compression> {
    let fault = |fault| Fault::Layer(blob.to_string(), fault);
    let unread = |error| fault(ArchiveFault::Read(error));
    for whiteout in gone(file.try_clone().map_err(unread)?, blob, contents)? {
        let failed = |error| fault(ArchiveFault::Write(error));
        whiteouts::apply(tree, &whiteout).map_err(failed)?;
    }
    file.rewind().map_err(unread)?;
    let (compression, reader) = compression::reader(file).map_err(fault)?;
    let mut members = Members::new(reader);
    while let Some(member) = members.next_member().map_err(fault)? {
        if whiteouts::of(&member.name).is_some() {
            continue;
        }
        let number = match member.kind {
            Kind::File | Kind::Directory => {
                headers.keep(&member).map_err(|error| fault(ArchiveFault::Write(error)))?
            }
            _ => 0,
        };
        unpacker.add(&member, &mut members.contents(), number).map_err(fault)?;
    }
    Ok(compression)
}

/// What a layer says is gone: of the layers below, so all of it comes before what is new. The whole layer
/// is read, and must be what its digest says.
fn gone(file: File, blob: &Digest, contents: &Digest) -> Result<Vec<Whiteout>> {
    let fault = |fault| Fault::Layer(blob.to_string(), fault);
    let (_, reader) = compression::reader(file).map_err(fault)?;
    let mut hashed = Hashed::new(reader, contents);
    let mut members = Members::new(hashed.by_ref());
    let mut gone = Vec::new();
    while let Some(member) = members.next_member().map_err(fault)? {
        match whiteouts::of(&member.name) {
            Some(Whiteout::Bad) => {
                return Err(Fault::Whiteout(blob.to_string(), member.shown()));
            }
            Some(Whiteout::Ignored) | None => {}
            Some(whiteout) => gone.push(whiteout),
        }
    }
    members.rest(&mut io::sink()).map_err(fault)?;
    if hashed.digest() != *contents {
        return Err(Fault::Damaged(format!("layer {blob}")));
    }
    Ok(gone)
}
