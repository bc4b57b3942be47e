//! The layer that the converted programs come in: these, with their names and all that their headers
//! said before, and the directories on the way, which would else get a new time or owner.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use statify_files::contents;
use tar::{EntryType, Header};

use super::digest::{Digest, Hashed};
use super::layers::Headers;
use crate::error::archive::{Fault, Result};
use crate::packed::archive::compression::{Compression, Writer};
use crate::packed::archive::header::{self, BLOCK};
use crate::packed::archive::repack;
use crate::packed::unpacked::Program;

/// A layer that was written.
#[derive(Debug)]
pub struct Layer {
    /// Of the file.
    pub blob: Digest,
    /// Its size.
    pub size: u64,
    /// Of what is in it.
    pub contents: Digest,
}

/// What a name in the layer is.
enum Entry<'a> {
    Directory,
    File(&'a Program),
    /// Another name of this one.
    Link(&'a Program, PathBuf),
}

/// Writes it to the new file `path`. `places` says where in `headers` each name's is; `find` where a
/// converted program can be read.
pub fn write(
    path: &Path,
    compression: Compression,
    programs: &[Program],
    places: &HashMap<PathBuf, u64>,
    headers: &mut Headers,
    find: &dyn Fn(&Path) -> Option<PathBuf>,
) -> Result<Layer> {
    let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(Fault::Write)?;
    let file = Hashed::sha256(BufWriter::with_capacity(1 << 20, file));
    let mut tar = Hashed::sha256(Writer::new(compression, file).map_err(Fault::Write)?);
    // A directory comes before what is in it, a file before its other names.
    for (path, entry) in entries(programs) {
        let mut name = path.strip_prefix("/").unwrap_or(&path).as_os_str().as_bytes().to_vec();
        let header = match &entry {
            Entry::Directory => {
                name.push(b'/');
                match places.get(&path) {
                    Some(&at) => headers.get(at)?.placed(&name, 0, None),
                    None => plain_directory(&name),
                }
            }
            Entry::File(program) => {
                let file = find(&path).ok_or_else(|| gone(&path))?;
                let (file, size) = open(&file)?;
                let header = headers.get(program.number)?.placed(&name, size, None);
                tar.write_all(&header).map_err(Fault::Write)?;
                repack::contents_of(&file, size, &mut tar)?;
                continue;
            }
            Entry::Link(program, first) => {
                let first = first.strip_prefix("/").unwrap_or(first).as_os_str().as_bytes();
                headers.get(program.number)?.placed(&name, 0, Some(first))
            }
        };
        tar.write_all(&header).map_err(Fault::Write)?;
    }
    tar.write_all(&[0; 2 * BLOCK]).map_err(Fault::Write)?;
    let contents = tar.digest();
    let mut file = tar.into_inner().finish().map_err(Fault::Write)?;
    file.flush().map_err(Fault::Write)?;
    Ok(Layer { blob: file.digest(), size: file.len(), contents })
}

fn entries(programs: &[Program]) -> BTreeMap<PathBuf, Entry<'_>> {
    let mut entries = BTreeMap::new();
    for program in programs {
        let Some(first) = program.names.iter().min() else {
            continue;
        };
        for name in &program.names {
            for parent in name.ancestors().skip(1).filter(|parent| parent.parent().is_some()) {
                entries.insert(parent.to_owned(), Entry::Directory);
            }
            let entry = match name == first {
                true => Entry::File(program),
                false => Entry::Link(program, first.clone()),
            };
            entries.insert(name.clone(), entry);
        }
    }
    entries
}

/// Of a directory that no layer describes, as it was made here, too.
fn plain_directory(name: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Directory);
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    header::named(header, name)
}

fn open(path: &Path) -> Result<(File, u64)> {
    let file = contents::open(path).map_err(Fault::Write)?;
    let size = file.metadata().map_err(Fault::Write)?.len();
    Ok((file, size))
}

fn gone(path: &Path) -> Fault {
    let error = std::io::Error::from(std::io::ErrorKind::NotFound);
    Fault::Unpack(path.display().to_string(), error)
}
