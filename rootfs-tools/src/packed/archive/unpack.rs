//! Members become files of a private tree, in which programs are then converted. The tree need not be
//! all that the archive is, whose headers are passed on as they were: it has what a conversion depends
//! on (contents, owners, permissions, capabilities). Devices are sockets, which nothing can open.
//!
//! Members may be anything: each name is looked up as if the tree were the root, so that no link leads
//! out of it; a file is made anew, never written through.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, BufWriter, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use rustix::fs::{CWD, FileType, Gid, Mode, Uid, XattrFlags};

use super::member::{Kind, Member};
use super::sparse;
use crate::error::archive::{Fault, Result};
use crate::tree::{self, Directory, FileId, STATE, Tree};

/// What makes a program privileged besides its mode.
const CAPABILITY: &str = "security.capability";

/// Unpacks into one tree.
#[derive(Debug)]
pub struct Unpacker<'a> {
    tree: &'a Tree,
    /// The directory that the last member came into.
    last: Option<(PathBuf, Arc<Directory>)>,
    /// Which member each file and directory was made of, by a number of the caller's.
    made: HashMap<FileId, u64>,
}

/// The components of a member's name; `None` if it leads out of what it is in.
pub fn components(name: &[u8]) -> Option<Vec<&OsStr>> {
    let parts = name.split(|&byte| byte == b'/');
    let parts: Vec<_> = parts.filter(|part| !matches!(*part, b"" | b".")).collect();
    let leads_out = parts.iter().any(|part| *part == b"..");
    (!leads_out).then(|| parts.into_iter().map(OsStr::from_bytes).collect())
}

impl<'a> Unpacker<'a> {
    /// Into `tree`.
    pub fn new(tree: &'a Tree) -> Self {
        Self { tree, last: None, made: HashMap::new() }
    }

    /// Which member's contents, or which directory, each of the tree's names is: the last number that
    /// [`Self::add`] was called with for it.
    pub fn places(&self) -> crate::Result<HashMap<PathBuf, u64>> {
        let mut places = HashMap::new();
        let top = self.tree.top()?;
        let stat = top.file().metadata().map_err(crate::Error::file("read", &self.tree.path))?;
        if let Some(&number) = self.made.get(&tree::id(&stat)) {
            places.insert("/".into(), number);
        }
        for entry in tree::walk(self.tree)?.filter_map(std::result::Result::ok) {
            if let Some(&number) = self.made.get(&tree::id(&entry.stat)) {
                places.insert(entry.name.path(), number);
            }
        }
        Ok(places)
    }

    /// Makes what `member` describes; what had its name before is gone.
    pub fn add(&mut self, member: &Member, contents: &mut impl Read, number: u64) -> Result<()> {
        if member.kind == Kind::Other {
            return Ok(());
        }
        let leads_out =
            || Fault::Member(member.shown(), "has a name that leads out of the archive");
        let parts = components(&member.name).ok_or_else(leads_out)?;
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::UnexpectedEof => Fault::Truncated(member.shown()),
            _ => Fault::Unpack(member.shown(), source),
        };
        let Some((&file, parents)) = parts.split_last() else {
            return self.root(member, number).map_err(failed);
        };
        if is_journals(&joined(&parts)) {
            return Ok(());
        }
        let parent = self.parent(parents).map_err(failed)?;
        // By whatever links it was found.
        if is_journals(&parent.path.join(file)) {
            return Ok(());
        }
        let path = parent.at(file);
        let before = look(&path).map_err(failed)?;
        if member.kind == Kind::Link {
            return self.link(member, &path, before);
        }
        let is_kept =
            member.kind == Kind::Directory && before.as_ref().is_some_and(Metadata::is_dir);
        if let (Some(before), false) = (&before, is_kept) {
            remove(&path, before).map_err(failed)?;
        }
        match member.kind {
            Kind::File => self.file(member, contents, &path, number).map_err(failed),
            Kind::Directory => {
                if !is_kept {
                    DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
                }
                let directory = File::open(&path).map_err(failed)?;
                self.made.insert(tree::id(&directory.metadata().map_err(failed)?), number);
                give(member, &directory).map_err(failed)
            }
            Kind::Symlink => {
                std::os::unix::fs::symlink(OsStr::from_bytes(&member.link), &path).map_err(failed)
            }
            Kind::Fifo => node(&path, FileType::Fifo).map_err(failed),
            Kind::Device => node(&path, FileType::Socket).map_err(failed),
            Kind::Link | Kind::Other => Ok(()),
        }
    }

    /// The tree's own directory.
    fn root(&mut self, member: &Member, number: u64) -> io::Result<()> {
        if member.kind != Kind::Directory {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let directory = File::open(&self.tree.path)?;
        self.made.insert(tree::id(&directory.metadata()?), number);
        give(member, &directory)
    }

    fn file(
        &mut self,
        member: &Member,
        contents: &mut impl Read,
        path: &Path,
        number: u64,
    ) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(path)?;
        match &member.holes {
            Some((map, size)) => sparse::unpack(map, *size, contents, &file)?,
            None => {
                let mut to = BufWriter::with_capacity(1 << 18, &file);
                io::copy(contents, &mut to)?;
                to.into_inner().map_err(io::IntoInnerError::into_error)?;
            }
        }
        give(member, &file)?;
        self.made.insert(tree::id(&file.metadata()?), number);
        Ok(())
    }

    fn link(&mut self, member: &Member, path: &Path, before: Option<Metadata>) -> Result<()> {
        let wrong = |what| Fault::Member(member.shown(), what);
        let parts = components(&member.link);
        let parts =
            parts.ok_or_else(|| wrong("is a hard link to a file outside of the archive"))?;
        let gone = || wrong("is a hard link to a file that is not there");
        let (&file, parents) = parts.split_last().ok_or_else(gone)?;
        let parent = self.tree.directory(&joined(parents)).map_err(|_| gone())?;
        let target = parent.at(file);
        let stat = look(&target).ok().flatten().ok_or_else(gone)?;
        let failed = |source| Fault::Unpack(member.shown(), source);
        if let Some(before) = before {
            if tree::id(&before) == tree::id(&stat) {
                return Ok(());
            }
            remove(path, &before).map_err(failed)?;
        }
        std::fs::hard_link(&target, path).map_err(failed)
    }

    /// The directory that these components lead to; what is missing is made.
    fn parent(&mut self, parts: &[&OsStr]) -> io::Result<Arc<Directory>> {
        let path = joined(parts);
        // Nothing that came into it can have changed where its own path leads.
        if let Some((known, directory)) = &self.last
            && *known == path
        {
            return Ok(directory.clone());
        }
        let directory = Arc::new(match self.tree.directory(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.make_parents(parts)?,
            other => other?,
        });
        self.last = Some((path, directory.clone()));
        Ok(directory)
    }

    fn make_parents(&self, parts: &[&OsStr]) -> io::Result<Directory> {
        let mut path = PathBuf::from("/");
        let mut directory = self.tree.directory(&path)?;
        for part in parts {
            path.push(part);
            directory = match self.tree.directory(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let new = directory.at(part);
                    std::fs::create_dir(&new)?;
                    std::fs::set_permissions(&new, Permissions::from_mode(0o755))?;
                    self.tree.directory(&path)?
                }
                other => other?,
            };
        }
        Ok(directory)
    }
}

/// A journal of somebody else's run is passed on, and not acted upon.
fn is_journals(path: &Path) -> bool {
    path.strip_prefix("/").is_ok_and(|inside| inside.starts_with(STATE))
}

fn joined(parts: &[&OsStr]) -> PathBuf {
    let mut path = PathBuf::from("/");
    path.extend(parts);
    path
}

fn look(path: &Path) -> io::Result<Option<Metadata>> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// Removes whatever has this name.
pub fn remove(path: &Path, stat: &Metadata) -> io::Result<()> {
    if stat.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
}

fn node(path: &Path, kind: FileType) -> io::Result<()> {
    Ok(rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), 0)?)
}

/// Gives a file or directory what a conversion depends on.
fn give(member: &Member, file: &File) -> io::Result<()> {
    let id = |key: &str, header: io::Result<u64>| {
        let number = match member.records.get(key) {
            Some(_) => member.records.number(key),
            None => header.ok(),
        };
        let number = number.and_then(|number| u32::try_from(number).ok());
        // The last one means "leave it" to chown(2).
        let number = number.filter(|&number| number != u32::MAX);
        number.ok_or_else(|| io::Error::other("its owner's number is none"))
    };
    let owner = id("uid", member.header.uid())?;
    let group = id("gid", member.header.gid())?;
    let mode = member.header.mode().map_err(|_| io::Error::other("its mode is no number"))?;
    let fd = file.as_fd();
    rustix::fs::fchown(fd, Some(Uid::from_raw(owner)), Some(Gid::from_raw(group)))?;
    rustix::fs::fchmod(fd, Mode::from_raw_mode(mode & 0o7777))?;
    if let (Some(value), Kind::File) = (capability(member), member.kind) {
        rustix::fs::fsetxattr(fd, CAPABILITY, &value, XattrFlags::empty())?;
    }
    Ok(())
}

/// The capabilities, as GNU tar and Go's libraries write them, or as libarchive does.
fn capability(member: &Member) -> Option<Vec<u8>> {
    let plain = member.records.get(&format!("SCHILY.xattr.{CAPABILITY}")).map(<[u8]>::to_vec);
    plain.or_else(|| {
        let text = member.records.get(&format!("LIBARCHIVE.xattr.{CAPABILITY}"))?;
        let text: Vec<u8> = text.iter().copied().filter(|&byte| byte != b'=').collect();
        base64::engine::general_purpose::STANDARD_NO_PAD.decode(text).ok()
    })
}
