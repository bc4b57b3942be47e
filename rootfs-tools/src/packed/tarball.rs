//! A tar archive of a root file system.

use std::collections::{BTreeSet, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tar::EntryType;

use super::archive::compression::{self, Writer};
use super::archive::header;
use super::archive::members::Members;
use super::archive::repack::{self, Addition, New};
use super::archive::unpack::Unpacker;
use super::room::Room;
use super::unpacked::{
    DIRECTORY_MODE, FILE_MODE, convert_tree, on_the_way, open_in, pooled, programs,
};
use crate::error::archive::Fault;
use crate::error::{Error, Result};
use crate::run::options::Options;
use crate::run::outcome::{Event, Outcome};
use crate::tree::Tree;

/// Makes the converted archive in `room`.
pub fn convert(options: &Options, room: &Room, tell: &mut dyn FnMut(Event<'_>)) -> Result<Outcome> {
    let fault = |fault| Error::Archive(options.root.clone(), fault);
    let input = File::open(&options.root).map_err(Error::file("opened", &options.root))?;
    let before = state_of(&input, options)?;
    tell(Event::Unpacking);
    let tree = Tree::open(&room.tree())?;
    let mut unpacker = Unpacker::new(&tree);
    let (compression, reader) = compression::reader(again(&input, options)?).map_err(fault)?;
    let mut members = Members::new(reader);
    let mut number = 0;
    let mut prefix = None;
    while let Some(member) = members.next_member().map_err(fault)? {
        let is_dotted = member.name.starts_with(b"./");
        prefix.get_or_insert(if is_dotted { &b"./"[..] } else { b"" });
        unpacker.add(&member, &mut members.contents(), number).map_err(fault)?;
        number += 1;
    }
    let places = unpacker.places()?;
    let outcome = convert_tree(options, room, tell)?;
    let mut changed = HashMap::new();
    for program in programs(&tree, &places)? {
        changed.insert(program.number, open_in(&tree, &program.names[0])?);
    }
    let new = new_members(&tree, &places, prefix.unwrap_or_default())?;
    tell(Event::Packing);
    let path = room.output();
    let mode = input.metadata().map_err(Error::file("read", &options.root))?.permissions().mode();
    let mut create = OpenOptions::new();
    let output = create.write(true).create_new(true).mode(mode & 0o666).open(&path);
    let output = output.map_err(Error::file("written", &room.out))?;
    let (_, reader) = compression::reader(again(&input, options)?).map_err(fault)?;
    let write = || -> Result<(), Fault> {
        let output = BufWriter::with_capacity(1 << 20, output);
        let mut writer = Writer::new(compression, output).map_err(Fault::Write)?;
        repack::repack(reader, &mut writer, &changed, &new)?;
        writer.finish().and_then(|mut output| output.flush()).map_err(Fault::Write)
    };
    write().map_err(fault)?;
    if state_of(&input, options)? != before {
        return Err(Error::ChangedMeanwhile(options.root.clone()));
    }
    Ok(outcome)
}

/// What a new pool is made of: directories that no member describes, and files. Their names begin as others do.
fn new_members(tree: &Tree, places: &HashMap<PathBuf, u64>, prefix: &[u8]) -> Result<New> {
    let name = |path: &Path| {
        let inside = path.strip_prefix("/").unwrap_or(path);
        [prefix, inside.as_os_str().as_bytes()].concat()
    };
    let files = pooled(tree)?;
    let directories: BTreeSet<PathBuf> = files.iter().flat_map(|path| on_the_way(path)).collect();
    let mut made = directories.iter().filter(|path| !places.contains_key(*path)).peekable();
    let first = made.peek().copied().or(files.first());
    let once_more = first.and_then(|path| places.get(path.parent()?).copied());
    let mut members = Vec::new();
    for path in made {
        let name = [&name(path)[..], b"/"].concat();
        let header = header::of_root(EntryType::Directory, DIRECTORY_MODE, 0, &name);
        members.push(Addition { header, path: None });
    }
    for path in &files {
        let file = open_in(tree, path)?;
        let size = file.metadata().map_err(Error::file("read", path))?.len();
        let header = header::of_root(EntryType::Regular, FILE_MODE, size, &name(path));
        members.push(Addition { header, path: Some(file) });
    }
    Ok(New { members, once_more })
}

/// The file from its beginning on.
fn again(input: &File, options: &Options) -> Result<File> {
    use std::io::Seek;
    let again = input.try_clone().and_then(|mut file| file.rewind().map(|()| file));
    again.map_err(Error::file("read", &options.root))
}

/// What changes when the file is written to.
fn state_of(input: &File, options: &Options) -> Result<(u64, (i64, i64))> {
    let stat = input.metadata().map_err(Error::file("read", &options.root))?;
    Ok((stat.len(), (stat.mtime(), stat.mtime_nsec())))
}
