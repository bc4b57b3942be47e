//! What ROOT is, told by what is in it.

use std::fs::File;
use std::path::Path;

use super::archive::members::Members;
use super::archive::{compression, member};
use crate::error::archive::Fault;
use crate::error::{Error, Result};

/// An archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A tar archive of a root file system.
    Tar,
    /// A directory that is an OCI image layout.
    Layout,
    /// A tar archive of an OCI image layout.
    LayoutTar,
}

/// The file that says that a directory is an image layout (OCI image specification, image-layout.md).
pub(crate) const MARK: &str = "oci-layout";

/// What `root` is; `None` if it is a directory, as any other root file system.
pub fn of(root: &Path) -> Result<Option<Kind>> {
    match root.metadata() {
        // What is wrong with it is said where it is opened.
        Err(_) => Ok(None),
        Ok(stat) if stat.is_dir() => {
            let is_layout = root.join(MARK).is_file() && root.join("index.json").is_file();
            Ok(is_layout.then_some(Kind::Layout))
        }
        Ok(stat) if stat.is_file() => {
            let file = File::open(root).map_err(Error::file("opened", root))?;
            let fault = |fault| Error::Archive(root.to_owned(), fault);
            of_archive(file).map(Some).map_err(fault)
        }
        Ok(_) => Err(Error::NoArchive(root.to_owned())),
    }
}

/// The first file's name tells.
fn of_archive(file: File) -> Result<Kind, Fault> {
    let (_, reader) = compression::reader(file)?;
    let mut members = Members::new(reader);
    while let Some(member) = members.next_member()? {
        if matches!(member.kind, member::Kind::Other) {
            continue;
        }
        let parts = super::archive::unpack::components(&member.name).unwrap_or_default();
        let first = parts.first().and_then(|part| part.to_str()).unwrap_or_default();
        if matches!((first, parts.len()), (MARK | "index.json" | "manifest.json", 1))
            || (first == "blobs" && matches!(parts.get(1), None | Some(_)) && parts.len() <= 3)
        {
            return Ok(Kind::LayoutTar);
        }
        if !parts.is_empty() {
            return Ok(Kind::Tar);
        }
    }
    Ok(Kind::Tar)
}
