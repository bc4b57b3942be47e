//! The layer that the converted programs come in: these, with their names and all that their headers
//! said before, the files of a new pool, and the directories on the way, which would else get a new time or owner.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use statify_files::contents;
use tar::EntryType;

use super::digest::{Digest, Hashed};
use super::layers::Headers;
use crate::error::archive::{Fault, Result};
use crate::packed::archive::compression::{Compression, Writer};
use crate::packed::archive::header::{self, BLOCK};
use crate::packed::archive::repack;
use crate::packed::unpacked::{self, DIRECTORY_MODE, FILE_MODE, Program};

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
    /// A file of the pool.
    Pooled,
}

/// Writes it to the new file `path`. `places` says where in `headers` each name's is; `find` where a
/// converted program, or a file of the pool `pooled`, can be read.
pub fn write(
    path: &Path,
    compression: Compression,
    programs: &[Program],
    pooled: &BTreeSet<PathBuf>,
    places: &HashMap<PathBuf, u64>,
    headers: &mut Headers,
    find: &dyn Fn(&Path) -> Option<PathBuf>,
) -> Result<Layer> {
    let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(Fault::Write)?;
    let file = Hashed::sha256(BufWriter::with_capacity(1 << 20, file));
    let mut tar = Hashed::sha256(Writer::new(compression, file).map_err(Fault::Write)?);
    // A directory comes before what is in it, a file before its other names.
    for (path, entry) in entries(programs, pooled) {
        let mut name = path.strip_prefix("/").unwrap_or(&path).as_os_str().as_bytes().to_vec();
        let header = match &entry {
            Entry::Directory => {
                name.push(b'/');
                match places.get(&path) {
                    Some(&at) => headers.get(at)?.placed(&name, 0, None),
                    None => header::of_root(EntryType::Directory, DIRECTORY_MODE, 0, &name),
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
            Entry::Pooled => {
                let file = find(&path).ok_or_else(|| gone(&path))?;
                let (file, size) = open(&file)?;
                let header = header::of_root(EntryType::Regular, FILE_MODE, size, &name);
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

fn entries<'a>(
    programs: &'a [Program],
    pooled: &BTreeSet<PathBuf>,
) -> BTreeMap<PathBuf, Entry<'a>> {
    let mut entries = BTreeMap::new();
    for file in pooled {
        entries.extend(unpacked::on_the_way(file).map(|path| (path, Entry::Directory)));
        entries.insert(file.clone(), Entry::Pooled);
    }
    for program in programs {
        let Some(first) = program.names.iter().min() else {
            continue;
        };
        for name in &program.names {
            entries.extend(unpacked::on_the_way(name).map(|path| (path, Entry::Directory)));
            let entry = match name == first {
                true => Entry::File(program),
                false => Entry::Link(program, first.clone()),
            };
            entries.insert(name.clone(), entry);
        }
    }
    entries
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
