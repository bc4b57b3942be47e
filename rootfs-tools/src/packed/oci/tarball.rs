//! A tar archive of an image layout, as `docker save` and `skopeo copy ... oci-archive:` make it.

use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{BufWriter, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::convert::convert_layout;
use super::layout::{Changes, Layout};
use super::platform::Platform;
use crate::error::archive::Fault as ArchiveFault;
use crate::error::image::Fault;
use crate::error::{Error, Result};
use crate::packed::archive::compression::{self, Writer};
use crate::packed::archive::member::{Kind, Member};
use crate::packed::archive::members::Members;
use crate::packed::archive::repack::{self, Addition, New};
use crate::packed::archive::unpack::{Unpacker, components};
use crate::packed::kind::MARK;
use crate::packed::room::Room;
use crate::run::options::Options;
use crate::run::outcome::{Event, Outcome};
use crate::tree::Tree;

/// Makes the converted archive in `room`.
pub fn convert(
    options: &Options,
    room: &Room,
    platform: &Platform,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Outcome> {
    let fault = |fault| Error::Archive(options.root.clone(), fault);
    let unread = |error| Error::file("read", &options.root)(error);
    let input = File::open(&options.root).map_err(unread)?;
    let again = || input.try_clone().and_then(|mut file| file.rewind().map(|()| file));
    tell(Event::Unpacking);
    let dir = room.path.join("layout");
    DirBuilder::new().mode(0o700).create(&dir).map_err(Error::file("written", &dir))?;
    let (compression, reader) = compression::reader(again().map_err(unread)?).map_err(fault)?;
    let (numbers, like) = unpack(reader, &dir).map_err(|error| match error {
        Unpack::Fault(error) => fault(error),
        Unpack::Error(error) => error,
    })?;
    let image = |fault| Error::Image(options.root.clone(), fault);
    if !dir.join(MARK).is_file() {
        return Err(image(Fault::Malformed(
            "the archive".into(),
            "it has no oci-layout, as `docker save` makes it from version 25 on; make one by `skopeo copy docker-archive:FILE oci-archive:NEW`",
        )));
    }
    let mut layout = Layout::open(&dir).map_err(image)?;
    let outcome = convert_layout(options, room, &mut layout, platform, tell)?;
    let Changes { replaced, added } = layout.changes;
    let changed: HashMap<u64, PathBuf> =
        replaced.iter().filter_map(|path| Some((*numbers.get(path)?, dir.join(path)))).collect();
    let mut more = Vec::new();
    for path in added.iter().filter(|path| !numbers.contains_key(*path)) {
        let file = dir.join(path);
        let size = file.metadata().map_err(Error::file("read", &file))?.len();
        let header = like.placed(path.as_os_str().as_bytes(), size, None);
        more.push(Addition { header, path: Some(file) });
    }
    let mode = input.metadata().map_err(unread)?.permissions().mode() & 0o666;
    let new = OpenOptions::new().write(true).create_new(true).mode(mode).open(room.output());
    let new = new.map_err(Error::file("written", &room.out))?;
    let (_, reader) = compression::reader(again().map_err(unread)?).map_err(fault)?;
    let write = || -> Result<(), ArchiveFault> {
        let output = BufWriter::with_capacity(1 << 20, new);
        let mut writer = Writer::new(compression, output).map_err(ArchiveFault::Write)?;
        let new = New { members: more, once_more: None };
        repack::repack(reader, &mut writer, &changed, &new)?;
        writer.finish().and_then(|mut output| output.flush()).map_err(ArchiveFault::Write)
    };
    write().map_err(fault)?;
    Ok(outcome)
}

enum Unpack {
    Fault(ArchiveFault),
    Error(Error),
}

impl From<ArchiveFault> for Unpack {
    fn from(fault: ArchiveFault) -> Self {
        Self::Fault(fault)
    }
}

/// Unpacks the layout into `dir`. Returns the number of each file's member, and one that new files'
/// headers are made like.
fn unpack(
    reader: impl std::io::Read,
    dir: &Path,
) -> Result<(HashMap<PathBuf, u64>, Member), Unpack> {
    let tree = Tree::open(dir).map_err(Unpack::Error)?;
    let mut unpacker = Unpacker::new(&tree);
    let mut members = Members::new(reader);
    let mut numbers = HashMap::new();
    let mut like = None;
    let mut number = 0;
    while let Some(member) = members.next_member()? {
        // Links would lead those who read and add blobs elsewhere.
        if !matches!(member.kind, Kind::File | Kind::Directory | Kind::Other) {
            let what = "is neither a file nor a directory, as all of an image layout are";
            return Err(ArchiveFault::Member(member.shown(), what).into());
        }
        unpacker.add(&member, &mut members.contents(), number)?;
        if member.kind == Kind::File {
            let parts = components(&member.name).unwrap_or_default();
            numbers.insert(parts.iter().collect(), number);
            like.get_or_insert(member);
        }
        number += 1;
    }
    let like = like.ok_or_else(|| ArchiveFault::Truncated("the list of its files".into()))?;
    Ok((numbers, like))
}
