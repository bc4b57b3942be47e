//! Who could have changed what a privileged output is made of. What ld.so looks up anew at each
//! start is embedded here once and for all, with the program's privileges: so it must come from
//! where only root and the program's owner can write. That is asked of every file that the loader
//! opened or looked for, whatever it says itself (ld.so.cache, musl's list of directories), and of
//! every directory and symbolic link by which it was found.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Stat};
use statify_elf::ElfFile;
use statify_program::Privileges;
use statify_program::Program;
use statify_program::access_list::{self, AccessList, Writer};
use statify_room::root::walk::{self, Hop};
use statify_room::root::{Root, link_to};

use crate::classify::{Image, SecureStart, expands_origin};
use crate::error::{Error, Result};

/// Checks the embedded files, the directories that lead to them, those in which libraries are looked
/// for, and all `asked` paths, which the loader has opened or has tried to open.
pub fn check(
    root: &Root,
    program: &Program,
    privileges: &Privileges,
    image: &Image,
    asked: &BTreeSet<PathBuf>,
) -> Result<()> {
    let path = || program.path.clone();
    let replaced = |file: &Path| {
        let what = match file == program.path {
            true => "it was replaced while it was converted".into(),
            false => format!("{} was replaced while it was converted", file.display()),
        };
        Error::Unexpected(path(), what)
    };
    let first = image.program().filter(|object| object.id == program.id);
    first.ok_or_else(|| replaced(&program.path))?;
    let writable = |problem: Problem| {
        Error::PrivilegedWritable(
            path(),
            Box::new(privileges.clone()),
            problem.path,
            problem.how.into(),
        )
    };
    let trust = Trust::new(root, privileges.owner).map_err(|error| {
        Error::Unexpected(path(), format!("its root cannot be opened: {error}"))
    })?;
    for file in [&program.path, &program.interpreter] {
        trust.file(file).map_err(writable)?;
    }
    for object in &image.objects {
        if trust.file(&object.path).map_err(writable)? != object.id {
            return Err(replaced(&object.path));
        }
    }
    for file in asked {
        trust.asked(file).map_err(writable)?;
    }
    for object in &image.objects {
        if expands_origin(&object.bytes) {
            let module = object.path.clone();
            return Err(Error::PrivilegedOrigin(path(), Box::new(privileges.clone()), module));
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
    how: Cow<'static, str>,
}

impl Problem {
    fn new(path: &Path, how: impl Into<Cow<'static, str>>) -> Self {
        Self { path: path.to_owned(), how: how.into() }
    }
}

/// How a walk ended early.
enum Ended {
    Unsafe(Problem),
    Failed(io::Error),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// Root and the owner of the program.
struct Trust {
    /// Where all paths begin.
    top: std::os::fd::OwnedFd,
    owner: u32,
}

impl Trust {
    fn new(root: &Root, owner: u32) -> io::Result<Self> {
        Ok(Self { top: root.top()?, owner })
    }

    /// A file that exists: it, and every directory and link on the way to it. Returns what it is.
    fn file(&self, path: &Path) -> Result<(u64, u64), Problem> {
        let stat = self.walk(path)?;
        stat.map(|stat| (stat.st_dev, stat.st_ino)).ok_or_else(|| Problem::new(path, "it is gone"))
    }

    /// A file that was asked for, whether it exists or not: if not, nobody may make it.
    fn asked(&self, path: &Path) -> Result<(), Problem> {
        if !path.is_absolute() {
            return Err(Problem::new(path, "it is relative to the current directory"));
        }
        self.walk(path).map(|_| ())
    }

    /// A directory in which files are looked for, whether it exists or not.
    fn directory(&self, path: &Path) -> Result<(), Problem> {
        self.asked(path)?;
        match self.walk(path)? {
            Some(stat) if is_shared(&stat) => {
                Err(Problem::new(path, "anybody can make files in it"))
            }
            _ => Ok(()),
        }
    }

    /// Goes the way that `path` leads, looking at everything on it. Returns what is at its end;
    /// `None` if nothing is there.
    fn walk(&self, path: &Path) -> Result<Option<Stat>, Problem> {
        let cannot = |_| Problem::new(path, "it cannot be examined");
        let stat = |fd: BorrowedFd<'_>| rustix::fs::statat(fd, "", AtFlags::EMPTY_PATH);
        let top = stat(self.top.as_fd()).map_err(|error| cannot(error.into()))?;
        self.component(self.top.as_fd(), &top, Path::new("/"))?;
        let see = |hop: &Hop<'_>| match hop.found {
            Some((fd, stat)) => self.component(fd, stat, hop.path).map_err(Ended::Unsafe),
            None => match stat(hop.directory) {
                Ok(directory) if is_shared(&directory) => {
                    let how = "it does not exist, and anybody can make it";
                    Err(Ended::Unsafe(Problem::new(hop.path, how)))
                }
                Ok(_) => Ok(()),
                Err(error) => Err(Ended::Failed(error.into())),
            },
        };
        match walk::walk(self.top.as_fd(), path, see) {
            Ok(fd) => stat(fd.as_fd()).map(Some).map_err(|error| cannot(error.into())),
            Err(Ended::Unsafe(problem)) => Err(problem),
            Err(Ended::Failed(error))
                if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) =>
            {
                Ok(None)
            }
            Err(Ended::Failed(error)) => Err(cannot(error)),
        }
    }

    /// A directory, link or file on the way.
    fn component(&self, fd: BorrowedFd<'_>, stat: &Stat, path: &Path) -> Result<(), Problem> {
        let problem = |how: &'static str| Problem::new(path, how);
        if !self.trusts(stat.st_uid) {
            return Err(problem("it belongs to somebody else"));
        }
        // A link's own permissions mean nothing.
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            return Ok(());
        }
        let list = access_list::of(&link_to(fd)).map_err(|_| problem("it cannot be examined"))?;
        let writers = match list {
            AccessList::Unknown(name) => {
                let how = format!("who may write to it is said by {name}, which is not understood");
                return Err(Problem::new(path, how));
            }
            AccessList::Writers(writers) => writers,
            AccessList::None => {
                let bits = [(0o020, Writer::OwningGroup), (0o002, Writer::Other)];
                let set = bits.into_iter().filter(|(bit, _)| stat.st_mode & bit != 0);
                set.map(|(_, who)| who).collect()
            }
        };
        // In a shared directory only the owner of a file can rename or remove it: what others make
        // there belongs to them, which is looked at.
        if stat.st_mode & 0o1000 != 0 && is_directory(stat) {
            return Ok(());
        }
        for who in writers {
            let group = match who {
                Writer::User(user) if self.trusts(user) => continue,
                Writer::User(user) => {
                    let how = format!("user {user} may write to it, by its access control list");
                    return Err(Problem::new(path, how));
                }
                Writer::Other => return Err(problem("everybody may write to it")),
                Writer::OwningGroup => stat.st_gid,
                Writer::Group(group) => group,
            };
            match (group, who) {
                (0, _) => {}
                (_, Writer::OwningGroup) => return Err(problem("its group may write to it")),
                _ => {
                    let how = format!("group {group} may write to it, by its access control list");
                    return Err(Problem::new(path, how));
                }
            }
        }
        Ok(())
    }

    fn trusts(&self, user: u32) -> bool {
        user == 0 || user == self.owner
    }
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// A directory that others may make files in, but remove only their own (the sticky bit). With an
/// access control list, the bits for the group are its mask: nobody has more by it.
fn is_shared(stat: &Stat) -> bool {
    is_directory(stat) && stat.st_mode & 0o1000 != 0 && stat.st_mode & 0o022 != 0
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    #[test]
    fn what_others_can_change() {
        let root = tempfile::tempdir().unwrap();
        let owner = root.path().metadata().unwrap().uid();
        let machine = Root::machine();
        let trust = Trust::new(&machine, owner).unwrap();
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
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        // A link into a safe place, by way of an unsafe one; and by one that is gone.
        let shared = root.path().join("shared");
        fs::create_dir(&shared).unwrap();
        fs::write(dir.join("f"), "").unwrap();
        std::os::unix::fs::symlink(&dir, shared.join("hop")).unwrap();
        std::os::unix::fs::symlink(shared.join("hop"), dir.join("two")).unwrap();
        std::os::unix::fs::symlink(shared.join("none"), dir.join("gone")).unwrap();
        for (mode, safe, missing) in
            [(0o755, true, true), (0o777, false, false), (0o1777, true, false)]
        {
            fs::set_permissions(&shared, Permissions::from_mode(mode)).unwrap();
            assert_eq!(trust.file(&dir.join("two/f")).is_ok(), safe, "{mode:o}");
            assert_eq!(trust.asked(&dir.join("two/f")).is_ok(), safe, "{mode:o}");
            assert_eq!(trust.asked(&dir.join("gone/f")).is_ok(), missing, "{mode:o}");
        }
        assert_eq!(trust.asked(&dir.join("gone/f")).unwrap_err().path, shared.join("none"));
        if owner != 0 {
            assert!(Trust::new(&machine, owner + 1).unwrap().file(&file).is_err());
        }
    }
}
