//! Where a loader looks: a root with its cache, configuration and libraries, each read once for as
//! many programs as one likes to ask about.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use memmap2::Mmap;
use statify_elf::ElfError;
use statify_elf::c_library::{CLibrary, musl};
use statify_elf::holes;
use statify_elf::machine::{Abi, Level};
use statify_program::Privileges;
use statify_program::Refusal;
use statify_room::Root;

use super::cache::{CACHE_FILE, Cache, LONGEST_CACHE};
use super::hwcaps::{self, Choice, Cpu};
use super::library::{Library, Name};
use super::loader::Loader;
use crate::{Error, Result};

const PRELOAD: &str = "/etc/ld.so.preload";
/// No configuration is longer, in bytes.
const LONGEST_TEXT: u64 = 1 << 20;

/// What is assumed of a start.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where all paths begin.
    pub root: Root,
    /// The CPU.
    pub cpu: Cpu,
    /// LD_LIBRARY_PATH.
    pub library_path: Option<Vec<u8>>,
    /// The loader, if not the one that the program names.
    pub loader: Option<PathBuf>,
    /// Whether the process has privileges that its caller lacks (AT_SECURE); `None`: if the
    /// program has any (set-user-ID, set-group-ID, capabilities).
    pub secure: Option<bool>,
}

impl Options {
    /// The same root as a conversion sees it: on the least CPU, without privileges (no_new_privs)
    /// and LD_LIBRARY_PATH, by the loader that the program names.
    pub fn of_conversion(root: Root) -> Self {
        let cpu = Cpu::Named(Level::V1.name().into());
        Self { root, cpu, library_path: None, loader: None, secure: Some(false) }
    }
}

/// A root as loaders see it. It may be asked from several threads.
#[derive(Debug)]
pub struct Environment {
    options: Options,
    /// For little-endian and big-endian loaders.
    caches: [OnceLock<Cache>; 2],
    preload: OnceLock<Vec<Name>>,
    loaders: Mutex<HashMap<PathBuf, Option<Arc<Interpreter>>>>,
    probes: RwLock<HashMap<Box<[u8]>, Probe>>,
    libraries: Mutex<HashMap<(u64, u64), Arc<Library>>>,
}

/// A loader, and what it does here.
#[derive(Debug)]
pub struct Interpreter {
    /// What its file says.
    pub loader: Loader,
    /// Its file as a library; `None` if it is not there, so that upstream's defaults are assumed.
    pub library: Option<Arc<Library>>,
    /// What depends on the CPU.
    pub choice: Choice,
    /// musl's list of directories, and whether it is the configuration's (not the built-in one).
    pub search_path: (Vec<u8>, bool),
}

/// What is at a path.
#[derive(Clone, Debug)]
pub enum Probe {
    /// Nothing that can be opened: the next directory is tried.
    Absent,
    /// An error at which a loader does not look any further.
    Unusable,
    /// A file that is refused, and why.
    Refused(&'static str),
    /// An ELF file.
    Library(Arc<Library>),
}

/// A file that was asked about.
#[derive(Debug)]
pub struct Subject {
    /// Its path, as given.
    pub path: PathBuf,
    /// What it is.
    pub library: Arc<Library>,
    /// Its directory as `$ORIGIN` says: of programs without symbolic links, as the kernel shows it.
    pub origin: Vec<u8>,
    /// It starts with privileges that its caller lacks.
    pub secure: bool,
}

impl Environment {
    /// Nothing is read before it is needed.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            caches: Default::default(),
            preload: OnceLock::new(),
            loaders: Mutex::default(),
            probes: RwLock::default(),
            libraries: Mutex::default(),
        }
    }

    /// What is assumed.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Opens a file that something is asked about.
    pub fn open(&self, path: &Path) -> Result<Subject> {
        let root = &self.options.root;
        let unreadable = |source| Error::File(path.to_owned(), source);
        let explained = |refusal: Refusal| Error::Refused(refusal.in_root(root));
        let found = root.find(path).map_err(unreadable)?;
        let metadata = found.link().metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            let kind = if metadata.is_dir() { "a directory" } else { "not a regular file" };
            return Err(explained(Refusal::NotAFile(path.to_owned(), kind)));
        }
        let file = File::open(found.link()).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        let id = (metadata.dev(), metadata.ino());
        let not_elf = |error| explained(Refusal::Elf(path.to_owned(), error));
        holes::check(&file).map_err(unreadable)?;
        let bytes = map(&file, metadata.len()).map_err(unreadable)?;
        let bytes = bytes.as_deref().ok_or_else(|| not_elf(ElfError::NotElf))?;
        let library = Library::parse(bytes, id).map_err(not_elf)?;
        if library.is_converted {
            return Err(Error::Converted(path.to_owned()));
        }
        if !library.is_loaded_dynamically() {
            return Err(Error::NotLoaded(path.to_owned()));
        }
        let privileges = Privileges::of(&file, &metadata).map_err(unreadable)?;
        let secure = self.options.secure.unwrap_or(privileges.is_some());
        let own = match library.interpreter {
            Some(_) => found.path().map_err(unreadable)?,
            None => root.absolute(path).map_err(unreadable)?,
        };
        let origin = directory_of(own.as_os_str().as_bytes());
        Ok(Subject { path: path.to_owned(), library: Arc::new(library), origin, secure })
    }

    /// What is at a path, looked at once.
    pub fn probe(&self, path: &[u8]) -> Probe {
        let known = self.probes.read().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
        known.unwrap_or_else(|| {
            let probe = self.look(path);
            let mut probes = self.probes.write().unwrap_or_else(PoisonError::into_inner);
            probes.insert(path.into(), probe.clone());
            probe
        })
    }

    fn look(&self, path: &[u8]) -> Probe {
        match self.load(Path::new(OsStr::from_bytes(path))) {
            Ok(library) => Probe::Library(library),
            Err(Unread::Refused(why)) => Probe::Refused(why),
            Err(Unread::Io(error)) => match error.raw_os_error() {
                Some(libc::ENOENT | libc::EACCES | libc::ENOTDIR) => Probe::Absent,
                _ => Probe::Unusable,
            },
        }
    }

    fn load(&self, path: &Path) -> Result<Arc<Library>, Unread> {
        let found = self.options.root.find(path)?;
        let metadata = found.link().metadata()?;
        if !metadata.is_file() {
            // A loader opens a directory, and cannot read it (EISDIR). It would wait for a FIFO.
            return Err(Unread::Refused(match metadata.is_dir() {
                true => "cannot read file data: Error 21",
                false => "not a regular file",
            }));
        }
        let id = (metadata.dev(), metadata.ino());
        let known = self.libraries.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let file = File::open(found.link())?;
        if holes::check(&file).is_err() {
            return Err(Unread::Refused(
                "it is far larger than any library, or than what is in it",
            ));
        }
        let bytes = map(&file, file.metadata()?.len())?;
        let bytes = bytes.as_deref().unwrap_or_default();
        let library = Library::parse(bytes, id).map_err(|error| {
            Unread::Refused(match error {
                _ if bytes.len() < 52 => "file too short",
                ElfError::NotElf => "invalid ELF header",
                _ => "cannot read file data",
            })
        })?;
        let library = Arc::new(library);
        let mut libraries = self.libraries.lock().unwrap_or_else(PoisonError::into_inner);
        libraries.insert(id, library.clone());
        Ok(library)
    }

    /// The path of a file without symbolic links, in the root.
    pub fn real_path(&self, path: &[u8]) -> PathBuf {
        let path = Path::new(OsStr::from_bytes(path));
        let found = self.options.root.find(path).and_then(|found| found.path());
        found.unwrap_or_else(|_| path.to_owned())
    }

    /// The loader that a file is loaded by, read once.
    pub fn interpreter(&self, library: &Library) -> Result<Arc<Interpreter>> {
        let path = self.interpreter_path(library);
        let known = self.loaders.lock().unwrap_or_else(PoisonError::into_inner).get(&path).cloned();
        let interpreter = match known {
            Some(known) => known,
            None => {
                let read = self.read_interpreter(&path, library.abi)?.map(Arc::new);
                let mut loaders = self.loaders.lock().unwrap_or_else(PoisonError::into_inner);
                loaders.insert(path.clone(), read.clone());
                read
            }
        };
        interpreter.ok_or(Error::Loader(path))
    }

    fn interpreter_path(&self, library: &Library) -> PathBuf {
        if let Some(path) = &self.options.loader {
            return path.clone();
        }
        if let Some(path) = &library.interpreter {
            return OsStr::from_bytes(path).into();
        }
        // A library does not say: by the C library that it needs, else by which loader is there.
        let needs =
            |prefix: &[u8]| library.dependencies.iter().any(|(_, name)| name.starts_with(prefix));
        let glibc = library.abi.glibc_loader().map(PathBuf::from);
        let musl = library.abi.musl_loader().map(PathBuf::from);
        let is_glibc = needs(b"libc.so.") || needs(b"ld-linux") || needs(b"ld64.so.");
        let is_musl = needs(b"libc.musl-")
            || library.dependencies.iter().any(|(_, name)| **name == *b"libc.so");
        let there =
            |path: &Option<PathBuf>| path.as_ref().is_some_and(|path| self.options.root.has(path));
        let choose_musl = is_musl || (!is_glibc && !there(&glibc) && there(&musl));
        let chosen = if choose_musl { musl.or(glibc) } else { glibc.or(musl) };
        chosen.unwrap_or_else(|| "/lib/ld.so.1".into())
    }

    /// `None` if there is something else at this path.
    fn read_interpreter(&self, path: &Path, abi: Abi) -> Result<Option<Interpreter>> {
        let bytes = self.read(path, LONGEST_CACHE);
        let (loader, library) = match &bytes {
            Ok(bytes) => {
                let Some(loader) = Loader::parse(path, bytes) else { return Ok(None) };
                (loader, self.load(path).ok())
            }
            Err(_) => {
                let is_musl = abi.musl_loader().is_some_and(|musl| Path::new(&musl) == path);
                let c_library = if is_musl { CLibrary::Musl } else { CLibrary::Glibc };
                (Loader::unread(path, abi, c_library), None)
            }
        };
        let unknown = |_| {
            Error::UnknownCpu(
                match &self.options.cpu {
                    Cpu::Named(name) => name.clone(),
                    Cpu::This => String::new(),
                },
                path.to_owned(),
                hwcaps::names(&loader).join(", "),
            )
        };
        let mut choice = hwcaps::choose(&loader, &self.options.cpu).map_err(unknown)?;
        let switched_off = |file: &str| self.options.root.has(Path::new(file));
        if loader.no_hwcaps_file.is_some_and(switched_off) {
            choice.subdirectories = vec![Vec::new()];
            choice.capabilities.legacy = Some(0);
        }
        let search_path = self.musl_search_path(&loader);
        Ok(Some(Interpreter { loader, library, choice, search_path }))
    }

    fn musl_search_path(&self, loader: &Loader) -> (Vec<u8>, bool) {
        let Some(file) = &loader.search_file else { return Default::default() };
        match self.read(file, LONGEST_TEXT) {
            Ok(bytes) => {
                // What comes behind a NUL, musl does not see.
                let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
                (bytes[..end].to_vec(), true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (musl::DEFAULT_SEARCH_PATH.to_vec(), false)
            }
            Err(_) => (Vec::new(), true),
        }
    }

    /// `/etc/ld.so.cache`; empty if there is none.
    pub fn cache(&self, is_little_endian: bool) -> &Cache {
        self.caches[usize::from(!is_little_endian)].get_or_init(|| {
            let bytes = self.read(Path::new(CACHE_FILE), LONGEST_CACHE).unwrap_or_default();
            Cache::parse(&bytes, is_little_endian)
        })
    }

    /// The names in `/etc/ld.so.preload`.
    pub fn preload(&self) -> &[Name] {
        self.preload.get_or_init(|| {
            let text = self.read(Path::new(PRELOAD), LONGEST_TEXT).unwrap_or_default();
            parse_preload(&text)
        })
    }

    fn read(&self, path: &Path, most: u64) -> io::Result<Vec<u8>> {
        let found = self.options.root.find(path)?;
        if !found.link().metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut bytes = Vec::new();
        File::open(found.link())?.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Why a file is no library.
enum Unread {
    Io(io::Error),
    Refused(&'static str),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Maps a file; `None` if it is empty.
fn map(file: &File, len: u64) -> io::Result<Option<Mmap>> {
    if len == 0 {
        return Ok(None);
    }
    // SAFETY: the bytes are only read as bytes; a file that shrinks meanwhile ends the process, as
    // it would end a program that has it mapped.
    unsafe { Mmap::map(file) }.map(Some)
}

/// The directory that a path lies in, as text, as glibc's `_dl_new_object` does it.
pub fn directory_of(path: &[u8]) -> Vec<u8> {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(0) => b"/".to_vec(),
        Some(at) => path[..at].to_vec(),
        None => b".".to_vec(),
    }
}

/// Names separated by white space or colons; `#` begins a comment (elf/rtld.c).
pub fn parse_preload(text: &[u8]) -> Vec<Name> {
    let lines = text.split(|&byte| byte == b'\n');
    let lines = lines.map(|line| line.split(|&byte| byte == b'#').next().unwrap_or_default());
    let names = lines.flat_map(|line| line.split(|byte| b": \t".contains(byte)));
    names.filter(|name| !name.is_empty()).map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_to_preload() {
        let text = b"# none\nlibx.so  /a/b.so:liby.so # more\n\tlibz.so";
        let names: Vec<&[u8]> = vec![b"libx.so", b"/a/b.so", b"liby.so", b"libz.so"];
        let parsed = parse_preload(text);
        assert_eq!(parsed.iter().map(|name| &**name).collect::<Vec<_>>(), names);
        assert!(parse_preload(b"").is_empty());
    }

    #[test]
    fn directories_as_text() {
        for (path, directory) in [("/a/b", "/a"), ("/a", "/"), ("a", "."), ("/a/../b/c", "/a/../b")]
        {
            assert_eq!(directory_of(path.as_bytes()), directory.as_bytes());
        }
    }
}
