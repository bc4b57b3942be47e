//! Where a loader finds libraries, and where it would have found others: for each name that is needed
//! and each directory that may be looked into, what is there (ld.so(8)). More directories than a loader
//! looks into do no harm: a change there is a conversion more. What the loader does is `elfscan`'s
//! knowledge ([`deps`]).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use elfscan::deps::{self, Choice, Environment, Interpreter, Library, Tokens};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use statify_elf::holes;
use statify_files::path_text;
use statify_format::manifest::{Manifest, hex};

use crate::tree::Tree;

/// A search and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Search {
    /// Names of libraries.
    #[serde(with = "path_text::list")]
    names: Vec<PathBuf>,
    /// Directories, without what is looked into below them.
    #[serde(with = "path_text::list")]
    directories: Vec<PathBuf>,
    /// What that is, on whatever CPU; the empty path stands for the directory itself.
    #[serde(with = "path_text::list")]
    below: Vec<PathBuf>,
    /// Files that say where to look.
    #[serde(with = "path_text::list")]
    lists: Vec<PathBuf>,
    /// SHA-256 of all that was found, in hexadecimal.
    found: String,
}

impl Search {
    /// The search for what is embedded, by the loader that is.
    pub fn of(tree: &Tree, manifest: &Manifest) -> io::Result<Self> {
        let mut files = Vec::new();
        for file in &manifest.files {
            let opened = File::open(tree.root.find(&file.path)?.link())?;
            holes::check(&opened)?;
            // SAFETY: the bytes are only read as bytes; a file that shrinks meanwhile ends the
            // process, as it would in the conversion itself.
            let bytes = unsafe { memmap2::Mmap::map(&opened) }?;
            let library = Library::parse(&bytes, (0, 0)).map_err(io::Error::other)?;
            files.push((&file.path, library));
        }
        let (_, program) = files.first().ok_or(io::ErrorKind::NotFound)?;
        let options = deps::Options { root: tree.root.clone(), ..Default::default() };
        // One that is not understood is an error: then nothing is kept.
        let interpreter =
            Environment::new(options).interpreter(program).map_err(io::Error::other)?;
        let choices = deps::choices(&interpreter.loader);
        let mut directories = directories_of(&interpreter);
        let mut names = BTreeSet::new();
        for (path, library) in &files {
            let origin = path.parent().unwrap_or(Path::new("/")).as_os_str().as_bytes();
            directories.insert(origin.to_vec());
            names.extend(
                library.interpreter.iter().chain(library.dependencies.iter().map(|d| &d.1)),
            );
            for list in library.rpath.iter().chain(&library.runpath) {
                directories.extend(expanded(list, origin, &interpreter, &choices));
            }
        }
        let absolute = directories.iter().filter(|path| path.starts_with(b"/"));
        let below: BTreeSet<_> = choices.iter().flat_map(|choice| &choice.subdirectories).collect();
        let loader = &interpreter.loader;
        let lists = [Some(Path::new(deps::CACHE_FILE)), loader.search_file.as_deref()];
        let switch = loader.no_hwcaps_file.map(Path::new);
        let mut search = Self {
            names: names.into_iter().map(|name| path_of(name)).collect(),
            directories: absolute.map(|path| path_of(path)).collect(),
            below: below.into_iter().map(|path| path_of(path)).collect(),
            lists: lists.into_iter().chain([switch]).flatten().map(Path::to_owned).collect(),
            found: String::new(),
        };
        search.found = search.look(tree);
        Ok(search)
    }

    /// Whether the same is found now.
    pub(crate) fn is_the_same(&self, tree: &Tree) -> bool {
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
            // Most have nothing below them.
            let mut has = BTreeMap::new();
            for below in &self.below {
                let top = below.iter().next().unwrap_or_default();
                if !*has.entry(top).or_insert_with(|| real(&directory.join(top)).is_some()) {
                    continue;
                }
                let directory = directory.join(below);
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
        for path in &self.lists {
            let found = tree.root.find(path).ok();
            let is_file = |path: &Path| path.metadata().is_ok_and(|stat| stat.is_file());
            let Some(found) = found.filter(|found| is_file(found.link())) else {
                continue;
            };
            let bytes = read(found.link()).unwrap_or_default();
            let text = match deps::Cache::read(&bytes, true) {
                None => bytes,
                Some(cache) => {
                    let lines = |name: &PathBuf| {
                        let lines = cache.lines(name.as_os_str().as_bytes());
                        format!("{name:?} {:?}", lines.collect::<Vec<_>>())
                    };
                    self.names.iter().map(lines).collect::<String>().into_bytes()
                }
            };
            lists.insert(path.clone(), text);
        }
        lists
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(deps::LONGEST_CACHE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn path_of(bytes: &[u8]) -> PathBuf {
    OsStr::from_bytes(bytes).into()
}

/// Where a loader looks by itself.
fn directories_of(interpreter: &Interpreter) -> BTreeSet<Vec<u8>> {
    let (configured, _) = &interpreter.search_path;
    let configured = configured.split(|byte| b":\n".contains(byte)).map(<[u8]>::to_vec);
    configured.chain(interpreter.loader.system_directories.iter().cloned()).collect()
}

/// The directories that a search path may stand for, on whatever CPU.
fn expanded(
    list: &[u8],
    origin: &[u8],
    interpreter: &Interpreter,
    choices: &[Choice],
) -> BTreeSet<Vec<u8>> {
    let elements = list.split(|&byte| byte == b':');
    let each = |element| {
        choices.iter().filter_map(move |choice| {
            let lib = interpreter.loader.lib.as_deref();
            let platform = choice.platform.map(str::as_bytes);
            deps::expand(element, &Tokens { origin, lib, platform, secure: false, trusted: None })
        })
    };
    elements.flat_map(each).collect()
}
