//! The files of an image layout (OCI image specification, image-layout.md): copied, held against
//! their digests, read, and added to.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use statify_files::beneath;
use statify_files::contents;

use super::digest::{Digest, Hashed};
use crate::error::image::{Fault, Result};
use crate::packed::kind::MARK;

/// The list of images.
pub(crate) const INDEX: &str = "index.json";
/// What lies in `blobs` has its digest for a name.
const BLOBS: &str = "blobs";
/// JSON larger than this is none of an image.
const MOST: u64 = 32 << 20;

/// A private copy of a layout, in which nothing changes but by us.
#[derive(Debug)]
pub struct Layout {
    /// Its directory.
    pub dir: PathBuf,
    /// Files that were changed, and files that were added, from `dir` on.
    pub changes: Changes,
}

/// What became of a layout's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// With other contents under the old name.
    pub replaced: Vec<PathBuf>,
    /// New ones.
    pub added: Vec<PathBuf>,
}

/// Copies the layout `from` to the new directory `to`.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let top = File::open(from).map_err(Fault::file("read", from))?;
    for entry in walkdir::WalkDir::new(from).follow_root_links(true).sort_by_file_name() {
        let entry = entry.map_err(|error| Fault::file("read", from)(error.into()))?;
        let inside = entry.path().strip_prefix(from).unwrap_or(entry.path());
        let path = to.join(inside);
        let read = |error| Fault::file("read", inside)(error);
        if entry.file_type().is_dir() {
            std::fs::create_dir(&path).map_err(Fault::file("written", &path))?;
            continue;
        }
        if !entry.file_type().is_file() {
            return Err(read(std::io::Error::other("it is no file")));
        }
        // Through no link, whatever was put there since.
        let file = beneath::file(&top, inside).map_err(read)?;
        let mode = file.metadata().map_err(read)?.permissions().mode() & 0o777;
        let new = contents::copy(&file, &path).map_err(Fault::file("copied", inside))?;
        new.set_permissions(std::fs::Permissions::from_mode(mode)).map_err(read)?;
    }
    Ok(())
}

impl Layout {
    /// A private copy, whose blobs are held against their names.
    pub fn open(dir: &Path) -> Result<Self> {
        let mark = Path::new(MARK);
        let version = read_json(&dir.join(mark), MARK)?;
        if version.get("imageLayoutVersion").is_none() {
            return Err(Fault::Malformed(MARK.into(), "it has no imageLayoutVersion"));
        }
        for entry in walkdir::WalkDir::new(dir.join(BLOBS)).min_depth(2).max_depth(2) {
            let entry =
                entry.map_err(|error| Fault::file("read", Path::new(BLOBS))(error.into()))?;
            let inside = entry.path().strip_prefix(dir).unwrap_or(entry.path());
            let name = |path: Option<&Path>| Some(path?.file_name()?.to_str()?.to_owned());
            let digest = name(inside.parent())
                .zip(name(Some(inside)))
                .and_then(|(algorithm, hex)| Digest::new(&algorithm, &hex));
            // Nothing can refer to what has no digest for a name.
            if let (Some(digest), true) = (digest, entry.file_type().is_file()) {
                let open = contents::open(entry.path());
                let right = open.and_then(|mut file| digest.is_of(&mut file));
                if !right.map_err(Fault::file("read", inside))? {
                    return Err(Fault::Damaged(inside.display().to_string()));
                }
            }
        }
        Ok(Self { dir: dir.to_owned(), changes: Changes::default() })
    }

    /// Opens the blob that a descriptor describes.
    pub fn blob(&self, descriptor: &Value) -> Result<(Digest, File)> {
        let digest = digest_of(descriptor)?;
        let path = self.dir.join(digest.path());
        let file = match contents::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Fault::Missing(digest.to_string()));
            }
            other => other.map_err(Fault::file("opened", &digest.path()))?,
        };
        let size = file.metadata().map_err(Fault::file("read", &digest.path()))?.len();
        if descriptor.get("size").and_then(Value::as_u64).is_some_and(|known| known != size) {
            return Err(Fault::Damaged(digest.path().display().to_string()));
        }
        Ok((digest, file))
    }

    /// Reads the JSON that a descriptor describes.
    pub fn json(&self, descriptor: &Value) -> Result<Value> {
        let (digest, file) = self.blob(descriptor)?;
        parse(file, &digest.to_string())
    }

    /// Reads a JSON file that lies beside the blobs; `None` if there is none.
    pub fn file(&self, name: &str) -> Result<Option<Value>> {
        let path = self.dir.join(name);
        if path.symlink_metadata().is_err() {
            return Ok(None);
        }
        read_json(&path, name).map(Some)
    }

    /// Replaces such a file.
    pub fn replace(&mut self, name: &str, value: &Value) -> Result<()> {
        let path = self.dir.join(name);
        write(&path, value).map_err(Fault::file("written", Path::new(name)))?;
        self.changes.replaced.push(name.into());
        Ok(())
    }

    /// Adds JSON as a blob, and returns how it is described, on top of what `like` says.
    pub(crate) fn add_json(&mut self, value: &Value, like: &Value) -> Result<Value> {
        let bytes = to_bytes(value);
        let mut hash = Hashed::sha256(std::io::sink());
        let _ = hash.write_all(&bytes);
        let digest = hash.digest();
        let path = self.dir.join(digest.path());
        write(&path, value).map_err(Fault::file("written", &digest.path()))?;
        self.changes.added.push(digest.path());
        Ok(describe(like, &digest, bytes.len() as u64))
    }

    /// Makes the file `made` a blob.
    pub(crate) fn add_file(&mut self, made: &Path, digest: &Digest) -> Result<()> {
        let path = self.dir.join(digest.path());
        let renamed = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let renamed = renamed.and_then(|()| std::fs::rename(made, &path));
        renamed.map_err(Fault::file("written", &digest.path()))?;
        self.changes.added.push(digest.path());
        Ok(())
    }
}

/// What a descriptor says, with another blob.
pub fn describe(like: &Value, digest: &Digest, size: u64) -> Value {
    let mut described = like.clone();
    if !described.is_object() {
        described = json!({});
    }
    described["digest"] = json!(digest.to_string());
    described["size"] = json!(size);
    if let Some(fields) = described.as_object_mut() {
        // The old one's contents, and other places where they are.
        fields.remove("data");
        fields.remove("urls");
    }
    described
}

/// The digest in a descriptor.
pub(crate) fn digest_of(descriptor: &Value) -> Result<Digest> {
    let text = descriptor.get("digest").and_then(Value::as_str);
    let text = text.ok_or_else(|| Fault::Malformed("a descriptor".into(), "it has no digest"))?;
    let bad = "the digest is of no algorithm that is known here";
    Digest::parse(text).ok_or_else(|| Fault::Malformed(format!("the digest {text:?}"), bad))
}

fn to_bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("it was JSON")
}

fn write(path: &Path, value: &Value) -> std::io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(parent)?;
    // A blob of these contents may be there.
    let _ = std::fs::remove_file(path);
    std::fs::write(path, to_bytes(value))
}

fn read_json(path: &Path, name: &str) -> Result<Value> {
    parse(contents::open(path).map_err(Fault::file("opened", Path::new(name)))?, name)
}

fn parse(file: File, name: &str) -> Result<Value> {
    let mut bytes = Vec::new();
    let read = file.take(MOST + 1).read_to_end(&mut bytes);
    read.map_err(Fault::file("read", Path::new(name)))?;
    if bytes.len() as u64 > MOST {
        return Err(Fault::Malformed(name.into(), "it is far too large"));
    }
    serde_json::from_slice(&bytes).map_err(|_| Fault::Malformed(name.into(), "it is no JSON"))
}
