//! Who could have changed what a privileged output is made of. What ld.so looks up anew at each
//! start is embedded here once and for all, with the program's privileges: so it must come from
//! where only root and the program's owner can write.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::classify::{Image, SecureStart, expands_origin};
use crate::elf::ElfFile;
use crate::error::{Error, Result};
use crate::privileges::Privileges;
use crate::root::Root;
use crate::subject::Program;

/// Checks the embedded files, the directories that lead to them, and those in which libraries are
/// looked for.
pub fn check(root: &Root, program: &Program, privileges: &Privileges, image: &Image) -> Result<()> {
    let path = || program.path.clone();
    if image.objects.first().is_none_or(|object| object.id != program.id) {
        return Err(Error::Unexpected(path(), "it was replaced while it was converted".into()));
    }
    let writable = |problem: Problem| {
        Error::PrivilegedWritable(path(), privileges.clone(), problem.path, problem.how)
    };
    let trust = Trust { root, owner: privileges.owner };
    let programs = [&program.path, &program.interpreter];
    let embedded = image.objects.iter().map(|object| &object.path);
    for file in programs.into_iter().chain(embedded) {
        trust.file(file).map_err(writable)?;
    }
    for object in &image.objects {
        if expands_origin(&object.bytes) {
            let module = object.path.clone();
            return Err(Error::PrivilegedOrigin(path(), privileges.clone(), module));
        }
        for directory in search_directories(&object.bytes) {
            trust.directory(&directory).map_err(writable)?;
        }
    }
    if image.secure == SecureStart::Refused {
        let what = "what its loader does when it has privileges could not be found out";
        return Err(Error::Unexpected(path(), what.into()));
    }
    Ok(())
}

/// The directories of a module's DT_RPATH and DT_RUNPATH, as far as they have no `$LIB` or the like
/// in them.
fn search_directories(bytes: &[u8]) -> Vec<PathBuf> {
    let elf = ElfFile::parse(bytes).ok();
    let dynamic = elf.as_ref().and_then(|elf| elf.dynamic().ok().flatten());
    let paths = dynamic.map(|dynamic| dynamic.search_paths()).unwrap_or_default();
    let directories = paths.into_iter().flat_map(|path| path.split(|&byte| byte == b':'));
    directories
        .map(|directory| {
            let fixed = directory.split(|&byte| byte == b'$').next().unwrap_or_default();
            PathBuf::from(OsStr::from_bytes(fixed))
        })
        .collect()
}

/// A file that others can change.
#[derive(Debug)]
struct Problem {
    path: PathBuf,
    how: &'static str,
}

/// Root and the owner of the program.
struct Trust<'a> {
    /// Where all paths begin.
    root: &'a Root,
    owner: u32,
}

impl Trust<'_> {
    /// A file that exists: it, and every directory and link on the way to it.
    fn file(&self, path: &Path) -> Result<(), Problem> {
        self.on_the_way(path, false)?;
        let problem = |_| Problem { path: path.to_owned(), how: "it is gone" };
        self.on_the_way(&self.real(path).map_err(problem)?, false)
    }

    /// A directory in which files are looked for, whether it exists or not.
    fn directory(&self, path: &Path) -> Result<(), Problem> {
        if !path.is_absolute() {
            let how = "it is relative to the current directory";
            return Err(Problem { path: path.to_owned(), how });
        }
        self.on_the_way(path, true)?;
        match self.real(path) {
            Ok(real) => self.on_the_way(&real, true),
            Err(_) => Ok(()),
        }
    }

    /// Every component of `path`. If its last is `looked_into`, nobody else may make files there,
    /// nor make what does not exist of it.
    fn on_the_way(&self, path: &Path, looked_into: bool) -> Result<(), Problem> {
        let mut so_far = PathBuf::new();
        let mut parent_is_shared = false;
        let count = path.components().count();
        for (index, component) in path.components().enumerate() {
            so_far.push(component);
            let problem = |how| Problem { path: so_far.clone(), how };
            let metadata = match self.symlink_metadata(&so_far) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound && looked_into => {
                    let how = "it does not exist, and anybody can make it";
                    return if parent_is_shared { Err(problem(how)) } else { Ok(()) };
                }
                Err(_) => return Err(problem("it cannot be examined")),
            };
            self.component(&metadata).map_err(problem)?;
            parent_is_shared = is_shared(&metadata);
            if parent_is_shared && looked_into && index + 1 == count {
                return Err(problem("anybody can make files in it"));
            }
        }
        Ok(())
    }

    /// A path without symbolic links.
    fn real(&self, path: &Path) -> io::Result<PathBuf> {
        self.root.find(path)?.path()
    }

    /// Of a link its own.
    fn symlink_metadata(&self, path: &Path) -> io::Result<Metadata> {
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => {
                self.root.find(parent)?.link().join(name).symlink_metadata()
            }
            _ => self.root.find(path)?.link().metadata(),
        }
    }

    fn component(&self, metadata: &Metadata) -> Result<(), &'static str> {
        if metadata.uid() != 0 && metadata.uid() != self.owner {
            return Err("it belongs to somebody else");
        }
        // A link's own permissions mean nothing, and in a shared directory only the owner of a file
        // can rename or remove it.
        if metadata.is_symlink() || is_shared(metadata) {
            return Ok(());
        }
        let mode = metadata.mode();
        if mode & 0o002 != 0 {
            return Err("everybody may write to it");
        }
        if mode & 0o020 != 0 && metadata.gid() != 0 {
            return Err("its group may write to it");
        }
        Ok(())
    }
}

/// A directory that everybody may make files in, but remove only one's own (the sticky bit).
fn is_shared(metadata: &Metadata) -> bool {
    metadata.is_dir() && metadata.mode() & 0o1000 != 0 && metadata.mode() & 0o022 != 0
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_others_can_change() {
        let root = tempfile::tempdir().unwrap();
        let owner = root.path().metadata().unwrap().uid();
        let machine = Root::machine();
        let trust = Trust { root: &machine, owner };
        let (dir, file) = (root.path().join("dir"), root.path().join("dir/file"));
        fs::create_dir(&dir).unwrap();
        fs::write(&file, "").unwrap();
        let missing = dir.join("a/b");
        let group = if root.path().metadata().unwrap().gid() == 0 { 0o755 } else { 0o775 };
        for (mode, as_file, as_directory, as_missing) in [
            (0o755, true, true, true),
            (0o777, false, false, false),
            (0o1777, true, false, false),
            (group, group == 0o755, group == 0o755, group == 0o755),
        ] {
            fs::set_permissions(&dir, Permissions::from_mode(mode)).unwrap();
            assert_eq!(trust.file(&file).is_ok(), as_file, "{mode:o}");
            assert_eq!(trust.directory(&dir).is_ok(), as_directory, "{mode:o}");
            assert_eq!(trust.directory(&missing).is_ok(), as_missing, "{mode:o}");
        }
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o646)).unwrap();
        assert_eq!(trust.file(&file).unwrap_err().path, file);
        assert!(trust.directory(Path::new("")).is_err());
        assert!(trust.directory(Path::new("lib")).is_err());
        // A link into a safe place, in an unsafe one.
        std::os::unix::fs::symlink("/usr", dir.join("link")).unwrap();
        assert!(trust.directory(&dir.join("link")).is_ok());
        fs::set_permissions(&dir, Permissions::from_mode(0o777)).unwrap();
        assert!(trust.directory(&dir.join("link")).is_err());
        if owner != 0 {
            assert!(Trust { root: &machine, owner: owner + 1 }.file(&file).is_err());
        }
    }
}
