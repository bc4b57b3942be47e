//! A tar archive of a root file system.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};

use super::archive::compression::{self, Writer};
use super::archive::members::Members;
use super::archive::repack;
use super::archive::unpack::Unpacker;
use super::room::Room;
use super::unpacked::{convert_tree, open_in, programs};
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
    while let Some(member) = members.next_member().map_err(fault)? {
        unpacker.add(&member, &mut members.contents(), number).map_err(fault)?;
        number += 1;
    }
    let places = unpacker.places()?;
    let outcome = convert_tree(options, room, tell)?;
    let mut changed = HashMap::new();
    for program in programs(&tree, &places)? {
        changed.insert(program.number, open_in(&tree, &program.names[0])?);
    }
    tell(Event::Packing);
    let new = room.output();
    let mode = input.metadata().map_err(Error::file("read", &options.root))?.permissions().mode();
    let mut create = OpenOptions::new();
    let output = create.write(true).create_new(true).mode(mode & 0o666).open(&new);
    let output = output.map_err(Error::file("written", &room.out))?;
    let (_, reader) = compression::reader(again(&input, options)?).map_err(fault)?;
    let write = || -> Result<(), Fault> {
        let output = BufWriter::with_capacity(1 << 20, output);
        let mut writer = Writer::new(compression, output).map_err(Fault::Write)?;
        repack::repack(reader, &mut writer, &changed, &[])?;
        writer.finish().and_then(|mut output| output.flush()).map_err(Fault::Write)
    };
    write().map_err(fault)?;
    if state_of(&input, options)? != before {
        return Err(Error::ChangedMeanwhile(options.root.clone()));
    }
    Ok(outcome)
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
