//! Where the pool is in a tree: by a path as it is there, through links of directories that lead to it, and not out of the tree.
//!
//! Starters follow no link to a pool, so outputs are told the path without them. What is there already must be as starters
//! want it; each directory is looked at and opened once, and what comes into it later comes into this very directory.

use std::ffi::OsString;
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::Mode;
use statify::Pool;
use statify_files::beneath;

use crate::error::pool::Fault;
use crate::error::{Error, Result};
use crate::journal::history;
use crate::journal::record::Record;
use crate::tree::{Directory, STATE, Tree};

/// More links on the way are not followed.
const MOST_LINKS: usize = 40;

/// Where the pool is, or will be.
#[derive(Debug)]
pub(crate) struct Place {
    /// From ROOT on, without links.
    pub path: PathBuf,
    /// Where it is, as it was given.
    wanted: PathBuf,
    /// The directory itself, or the last one on the way that is there.
    last: Directory,
    /// Those that are not there, the outermost first; the last one is the pool.
    missing: Vec<OsString>,
}

/// Whether `path` can be a pool's in whatever tree.
pub fn check(path: &Path) -> Result<(), Fault> {
    let Ok(inside) = path.strip_prefix("/") else {
        return Err(Fault::Path);
    };
    match beneath::is_plain(inside) && inside.file_name().is_some() {
        false => Err(Fault::Path),
        true if inside.starts_with(STATE) => Err(Fault::Journals),
        true => Ok(()),
    }
}

/// Finds the pool `wanted`, a path from ROOT on. Nothing is written.
pub(crate) fn find(tree: &Tree, wanted: &Path) -> Result<Place> {
    let fault = |fault| Error::Pool(wanted.to_owned(), fault);
    let mut path = wanted.to_owned();
    for _ in 0..MOST_LINKS {
        check(&path).map_err(fault)?;
        match walk(tree, &path).map_err(fault)? {
            Walked::Elsewhere(to) => path = to,
            Walked::To(last, missing) => {
                return Ok(Place { path, wanted: wanted.to_owned(), last, missing });
            }
        }
    }
    Err(fault(Fault::Links))
}

enum Walked {
    /// To the last directory that is there; the names of the others.
    To(Directory, Vec<OsString>),
    /// To a link, which leads there.
    Elsewhere(PathBuf),
}

fn walk(tree: &Tree, path: &Path) -> Result<Walked, Fault> {
    let unread = |error| Fault::File("read", error);
    let mut at = tree.directory(Path::new("/")).map_err(unread)?;
    trust(&at.path, &at.file().metadata().map_err(unread)?)?;
    let mut names = path.strip_prefix("/").unwrap_or(path).iter();
    while let Some(name) = names.next() {
        let here = at.path.join(name);
        let stat = match at.at(name).symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let missing = std::iter::once(name).chain(names).map(OsString::from);
                return Ok(Walked::To(at, missing.collect()));
            }
            other => other.map_err(unread)?,
        };
        if stat.is_symlink() {
            let rest = names.as_path();
            if rest.as_os_str().is_empty() {
                return Err(Fault::Link);
            }
            let found = tree.directory(&here).map_err(|_| Fault::Dangling(here))?;
            return Ok(Walked::Elsewhere(found.path.join(rest)));
        }
        if !stat.is_dir() {
            return Err(Fault::NoDirectory(here));
        }
        let file = beneath::directory(at.file(), Path::new(name)).map_err(unread)?;
        trust(&here, &file.metadata().map_err(unread)?)?;
        at = Directory::new(here, file);
    }
    Ok(Walked::To(at, Vec::new()))
}

/// Only root can make what programs trust; what others make is theirs, and they are told so ([`super::fill::Filler`]).
fn trust(path: &Path, stat: &Metadata) -> Result<(), Fault> {
    let why = Pool::distrust(stat.uid(), stat.mode());
    match why.filter(|_| rustix::process::geteuid().is_root()) {
        Some(why) => Err(Fault::NotRoots(path.to_owned(), why)),
        None => Ok(()),
    }
}

impl Place {
    /// The last directory on the way that is there.
    pub fn last(&self) -> &Directory {
        &self.last
    }

    /// The directories that [`Self::make`] makes, the outermost first.
    pub fn made(&self) -> Vec<PathBuf> {
        let mut path = self.last.path.clone();
        let next = |name: &OsString| {
            path.push(name);
            path.clone()
        };
        self.missing.iter().map(next).collect()
    }

    /// Makes what is not there, and opens the pool.
    pub fn make(self) -> Result<Arc<Directory>> {
        let Self { wanted, mut last, missing, .. } = self;
        for name in missing {
            let made = make_in(&last, &name);
            last = made.map_err(|error| Error::Pool(wanted.clone(), Fault::File("made", error)))?;
        }
        Ok(Arc::new(last))
    }
}

/// Completes directories that a run has made for the pool which ended before they were.
pub(crate) fn complete(tree: &Tree, records: &[Record], pool: &Directory) -> Result<()> {
    let made = history::pools(records).flat_map(|pool| &pool.made);
    for path in made.filter(|path| pool.path.starts_with(path)) {
        let complete = || give(tree.directory(path)?.file());
        complete().map_err(Error::file("written", path))?;
    }
    Ok(())
}

/// Makes a directory one that all may read and only its owner may write to.
fn give(directory: &File) -> io::Result<()> {
    let stat = directory.metadata()?;
    let (user, group) = own();
    if stat.uid() != user || stat.mode() & 0o022 != 0 {
        return Err(io::Error::other("another directory was put in the place of a new one"));
    }
    // A set-group-ID directory gives its group, and the bit.
    if stat.gid() != group {
        std::os::unix::fs::fchown(directory, None, Some(group))?;
    }
    if stat.mode() & 0o7777 != Pool::DIRECTORY_MODE {
        directory.set_permissions(Permissions::from_mode(Pool::DIRECTORY_MODE))?;
    }
    directory.sync_all()
}

fn make_in(parent: &Directory, name: &OsString) -> io::Result<Directory> {
    rustix::fs::mkdirat(parent.file(), name, Mode::RWXU)?;
    let file = beneath::directory(parent.file(), Path::new(name))?;
    give(&file)?;
    parent.sync()?;
    Ok(Directory::new(parent.path.join(name), file))
}

/// User and group of what is made.
pub(super) fn own() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn paths_of_pools() {
        for (path, good) in [
            ("/usr/lib/statify/pool", true),
            ("/pool", true),
            ("/", false),
            ("pool", false),
            ("/usr/../pool", false),
            ("/.rootfs-tools", false),
            ("/.rootfs-tools/pool", false),
            ("/.rootfs-tools-pool", true),
        ] {
            assert_eq!(check(Path::new(path)).is_ok(), good, "{path}");
        }
    }

    #[test]
    fn a_pool_is_in_the_tree() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("root/usr/lib")).unwrap();
        fs::create_dir_all(at("outside")).unwrap();
        for (link, to) in [
            ("root/lib", "usr/lib"),
            ("root/out", "../../../outside"),
            ("root/usr/nowhere", "/nowhere"),
            ("root/usr/up", ".."),
            ("root/usr/one", "two"),
            ("root/usr/two", "one"),
        ] {
            symlink(to, at(link)).unwrap();
        }
        symlink(at("outside"), at("root/absolute")).unwrap();
        fs::write(at("root/usr/file"), "").unwrap();
        let tree = Tree::open(&at("root")).unwrap();
        for (wanted, path) in [
            ("/lib/a/pool", "/usr/lib/a/pool"),
            ("/usr/up/pool", "/pool"),
            ("/usr/up/usr/up/lib/pool", "/usr/lib/pool"),
            ("/usr/lib", "/usr/lib"),
        ] {
            let place = find(&tree, Path::new(wanted)).unwrap();
            assert_eq!(place.path, Path::new(path), "{wanted}");
        }
        for wanted in [
            "/lib",
            "/out",
            "/out/pool",
            "/absolute",
            "/absolute/pool",
            "/usr/nowhere/pool",
            "/usr/one/pool",
            "/usr/file",
            "/usr/file/pool",
        ] {
            assert!(find(&tree, Path::new(wanted)).is_err(), "{wanted}");
        }
        let place = find(&tree, Path::new("/lib/a/pool")).unwrap();
        assert_eq!(place.made(), [Path::new("/usr/lib/a"), Path::new("/usr/lib/a/pool")]);
        assert_eq!(place.make().unwrap().path, Path::new("/usr/lib/a/pool"));
        assert_eq!(at("root/usr/lib/a/pool").metadata().unwrap().mode() & 0o7777, 0o755);
        assert!(fs::read_dir(at("outside")).unwrap().next().is_none());
    }
}
