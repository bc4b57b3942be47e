//! Where a loader finds libraries, and where it would have found others: for each name that is needed
//! and each directory that may be looked into, what is there (ld.so(8)). More directories than a loader
//! looks into do no harm: a change there is a conversion more.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use statify::elf::ElfFile;
use statify::manifest::{Manifest, hex};

use super::loader_cache;
use crate::path_text;
use crate::tree::Tree;

/// Where loaders look by themselves.
const DIRECTORIES: [&str; 8] = [
    "/lib",
    "/usr/lib",
    "/lib64",
    "/usr/lib64",
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/local/lib",
    "/usr/local/lib/x86_64-linux-gnu",
];
/// Where they look first in each of them, on some CPUs.
const BELOW: [&str; 9] = [
    "",
    "glibc-hwcaps/x86-64-v2",
    "glibc-hwcaps/x86-64-v3",
    "glibc-hwcaps/x86-64-v4",
    "tls",
    "tls/x86_64",
    "x86_64",
    "haswell",
    "haswell/x86_64",
];
/// What `$LIB` and `$PLATFORM` may stand for.
const LIB: [&str; 3] = ["lib", "lib64", "lib/x86_64-linux-gnu"];
const PLATFORM: [&str; 2] = ["x86_64", "haswell"];
/// What says where to look.
const LISTS: [&str; 2] = ["/etc/ld-musl-x86_64.path", "/etc/ld.so.cache"];

/// A search and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Search {
    /// Names of libraries.
    #[serde(with = "path_text::list")]
    names: Vec<PathBuf>,
    /// Directories, without what is looked into below them.
    #[serde(with = "path_text::list")]
    directories: Vec<PathBuf>,
    /// SHA-256 of all that was found, in hexadecimal.
    found: String,
}

impl Search {
    /// The search for what is embedded.
    pub fn of(tree: &Tree, manifest: &Manifest) -> io::Result<Self> {
        let mut names: BTreeSet<PathBuf> = BTreeSet::new();
        let mut directories: BTreeSet<PathBuf> = DIRECTORIES.iter().map(PathBuf::from).collect();
        for file in &manifest.files {
            let found = tree.root.find(&file.path)?;
            let bytes = std::fs::read(found.link())?;
            let parent = file.path.parent().unwrap_or(Path::new("/"));
            directories.insert(parent.to_owned());
            let elf = ElfFile::parse(&bytes).map_err(io::Error::other)?;
            if let Some(interpreter) = elf.interpreter().map_err(io::Error::other)? {
                names.insert(OsStr::from_bytes(interpreter).into());
            }
            let Some(dynamic) = elf.dynamic().map_err(io::Error::other)? else {
                continue;
            };
            names.extend(dynamic.needed().into_iter().map(|name| OsStr::from_bytes(name).into()));
            for list in dynamic.search_paths() {
                for path in list.split(|&byte| byte == b':') {
                    directories.extend(expand(&String::from_utf8_lossy(path), parent));
                }
            }
        }
        let (names, directories) = (names.into_iter().collect(), directories.into_iter().collect());
        let mut search = Self { names, directories, found: String::new() };
        search.found = search.look(tree);
        Ok(search)
    }

    /// Whether the same is found now.
    pub fn is_the_same(&self, tree: &Tree) -> bool {
        self.look(tree) == self.found
    }

    fn look(&self, tree: &Tree) -> String {
        let mut hash = Sha256::new();
        let mut note = |path: &Path, found: &OsStr| {
            hash.update(path.as_os_str().as_bytes());
            hash.update(b"\0");
            hash.update(found.as_bytes());
            hash.update(b"\n");
        };
        let real = |path: &Path| tree.root.find(path).and_then(|found| found.path()).ok();
        for directory in &self.directories {
            for below in BELOW {
                let directory = directory.join(below);
                if real(&directory).is_none() {
                    continue;
                }
                for name in self.names.iter().filter(|name| !name.has_root()) {
                    if let Some(found) = real(&directory.join(name)) {
                        note(&directory.join(name), found.as_os_str());
                    }
                }
            }
        }
        for path in self.names.iter().filter(|name| name.has_root()) {
            note(path, real(path).unwrap_or_default().as_os_str());
        }
        for (path, text) in self.lists(tree) {
            note(&path, OsStr::from_bytes(&text));
        }
        hex(&hash.finalize())
    }

    /// What the files that say where to look say of these names.
    fn lists(&self, tree: &Tree) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut lists = BTreeMap::new();
        for path in LISTS.map(Path::new) {
            let found = tree.root.find(path).ok();
            let is_file = |path: &Path| path.metadata().is_ok_and(|stat| stat.is_file());
            let Some(found) = found.filter(|found| is_file(found.link())) else {
                continue;
            };
            let bytes = std::fs::read(found.link()).unwrap_or_default();
            let text = match loader_cache::parse(&bytes) {
                None => bytes,
                Some(lines) => {
                    let known = |name: &[u8]| {
                        self.names.iter().any(|known| known.as_os_str().as_bytes() == name)
                    };
                    let lines = lines.into_iter().filter(|line| known(line.name));
                    format!("{:?}", lines.collect::<Vec<_>>()).into_bytes()
                }
            };
            lists.insert(path.to_owned(), text);
        }
        lists
    }
}

/// The directories that an element of a search path may stand for.
fn expand(path: &str, origin: &Path) -> Vec<PathBuf> {
    let origin = origin.to_string_lossy();
    let mut paths = vec![path.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin)];
    for (names, values) in
        [(["${LIB}", "$LIB"], &LIB[..]), (["${PLATFORM}", "$PLATFORM"], &PLATFORM[..])]
    {
        let each = |path: &String| -> Vec<String> {
            if !names.iter().any(|name| path.contains(name)) {
                return vec![path.clone()];
            }
            let replaced = |value| path.replace(names[0], value).replace(names[1], value);
            values.iter().map(|value| replaced(value)).collect()
        };
        paths = paths.iter().flat_map(each).collect();
    }
    paths.into_iter().filter(|path| path.starts_with('/')).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_search_paths() {
        let paths = |text| expand(text, Path::new("/opt/x"));
        assert_eq!(paths("$ORIGIN/../lib"), [PathBuf::from("/opt/x/../lib")]);
        assert_eq!(paths("/a/${LIB}").len(), 3);
        assert!(paths("relative").is_empty());
    }
}
