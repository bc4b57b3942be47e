//! Under which names a file is asked for: the paths that lead to it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use statify_elf::ElfFile;
use statify_elf::machine::{LIBRARY_DIRECTORIES, LINKED_DIRECTORIES, Machine};

use crate::capture::Object;

/// The directories in which the loader looked for the library `nowhere`, and those in which the loaders of
/// other systems on `machine` look: in these, too, a name means the embedded file.
/// Those that are not there are variants for certain processors, which the loader tries first: a
/// library found there would have a path that it has nowhere.
pub fn system_directories(
    missing: &BTreeSet<Vec<u8>>,
    nowhere: &str,
    machine: Machine,
    exists: impl Fn(&Path) -> bool,
) -> BTreeSet<Vec<u8>> {
    let here = missing.iter().filter_map(|path| {
        let path = Path::new(OsStr::from_bytes(path));
        let directory = path.parent().filter(|directory| exists(directory))?;
        (path.file_name()? == nowhere).then(|| bytes_of(directory))
    });
    let elsewhere = LIBRARY_DIRECTORIES.iter().chain(machine.library_directories());
    here.chain(elsewhere.map(|path| path.as_bytes().to_vec())).collect()
}

/// Finds the names of files.
#[derive(Debug, Default)]
pub struct Names {
    /// Symbolic links by what they lead to; read by directory.
    links: BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<PathBuf>>>,
}

impl Names {
    /// All paths of a file that was asked for by `asked`: these, its own, and the links to it that
    /// lie beside them.
    pub fn of(&mut self, object: &Object, asked: &BTreeSet<Vec<u8>>) -> BTreeSet<Vec<u8>> {
        let mut paths: BTreeSet<PathBuf> =
            asked.iter().map(|name| PathBuf::from(OsStr::from_bytes(name))).collect();
        paths.insert(object.path.clone());
        let directories: BTreeSet<PathBuf> = paths
            .iter()
            .filter(|path| path.is_absolute())
            .filter_map(|path| Some(path.parent()?.to_owned()))
            .collect();
        for directory in directories {
            let links = self.links_in(&directory);
            paths.extend(links.get(&object.path).into_iter().flatten().cloned());
        }
        let aliases: Vec<PathBuf> = paths.iter().flat_map(|path| aliases(path)).collect();
        paths.extend(aliases);
        paths.iter().map(|path| bytes_of(path)).collect()
    }

    fn links_in(&mut self, directory: &Path) -> &BTreeMap<PathBuf, BTreeSet<PathBuf>> {
        self.links.entry(directory.to_owned()).or_insert_with(|| {
            let mut links: BTreeMap<PathBuf, BTreeSet<PathBuf>> = BTreeMap::new();
            for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
                let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
                let is_library = entry.file_name().as_bytes().windows(3).any(|part| part == b".so");
                if is_link
                    && is_library
                    && let Ok(target) = entry.path().canonicalize()
                {
                    links.entry(target).or_default().insert(entry.path());
                }
            }
            links
        })
    }
}

/// The same path by way of a link in the root directory, or without it.
fn aliases(path: &Path) -> Vec<PathBuf> {
    let mut aliases = Vec::new();
    for link in LINKED_DIRECTORIES {
        let Ok(target) = Path::new(link).canonicalize() else { continue };
        if target == Path::new(link) {
            continue;
        }
        for (from, to) in [(target.as_path(), Path::new(link)), (Path::new(link), &target)] {
            if let Ok(rest) = path.strip_prefix(from) {
                aliases.push(to.join(rest));
            }
        }
    }
    aliases
}

/// The names by which a library is looked for: the last components of its paths, and its SONAME.
pub fn short_names(object: &Object, paths: &BTreeSet<Vec<u8>>) -> BTreeSet<Vec<u8>> {
    let last = |path: &Vec<u8>| {
        Path::new(OsStr::from_bytes(path)).file_name().map(|name| name.as_bytes().to_vec())
    };
    let elf = ElfFile::parse(&object.bytes).ok();
    let dynamic = elf.as_ref().and_then(|elf| elf.dynamic().ok().flatten());
    let soname = dynamic.and_then(|dynamic| dynamic.soname().map(<[u8]>::to_vec));
    paths.iter().filter_map(last).chain(soname).filter(|name| !name.contains(&b'/')).collect()
}

fn bytes_of(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_name_was_looked_for() {
        let missing = ["/opt/a/nowhere.so", "/opt/b/other.so", "/opt/a/v3/nowhere.so"];
        let missing = missing.iter().map(|path| path.as_bytes().to_vec()).collect();
        let exists = |path: &Path| !path.ends_with("v3");
        let found = system_directories(&missing, "nowhere.so", Machine::HOST, exists);
        assert!(found.contains(&b"/opt/a"[..]) && found.contains(&b"/usr/lib64"[..]), "{found:?}");
        let elsewhere = LIBRARY_DIRECTORIES.len() + Machine::HOST.library_directories().len();
        assert_eq!(found.len(), 1 + elsewhere);
    }
}
