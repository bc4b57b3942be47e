//! Where glibc's loader looks for a library, and in which order (ld.so(8); elf/dl-load.c,
//! `_dl_map_object`).

use std::cell::Cell;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::environment::{Environment, Interpreter, Probe};
use super::expand::{Tokens, expand};
use super::found::{Directory, Found, NotFound, Rule};
use super::library::{Flaw, Library};
use super::object::Object;

/// How many paths may still be tried for one program, so that files made for it cannot keep one
/// busy for long: real ones need some hundreds.
#[derive(Debug)]
pub(super) struct Attempts(Cell<u32>);

impl Default for Attempts {
    fn default() -> Self {
        Self(Cell::new(1 << 18))
    }
}

impl Attempts {
    /// Takes one.
    pub fn take(&self, name: &[u8]) -> Result<(), NotFound> {
        match self.0.get().checked_sub(1) {
            Some(left) => {
                self.0.set(left);
                Ok(())
            }
            None => {
                let why = Some("there are too many places to look for it".into());
                Err(NotFound::Refused { path: name.to_vec(), why })
            }
        }
    }
}

/// A file that can be loaded, and its path.
type Loadable = (Vec<u8>, Arc<Library>);

/// A search for what one program needs.
pub(super) struct Search<'a> {
    pub environment: &'a Environment,
    pub interpreter: &'a Interpreter,
    pub secure: bool,
    /// LD_LIBRARY_PATH.
    pub library_path: Vec<Directory>,
    pub system: Vec<Directory>,
    attempts: Attempts,
}

impl<'a> Search<'a> {
    pub fn new(environment: &'a Environment, interpreter: &'a Interpreter, main: &Object) -> Self {
        let plain = |path: &Vec<u8>| Directory { path: path.clone(), written: None };
        let system = interpreter.loader.system_directories.iter().map(plain).collect();
        let (secure, library_path) = (main.secure, Vec::new());
        let attempts = Attempts::default();
        let mut search = Self { environment, interpreter, secure, library_path, system, attempts };
        let list = environment.options().library_path.as_deref().filter(|list| !list.is_empty());
        if let Some(list) = list
            && !main.secure
        {
            search.library_path = search.directories(list, b":;", main);
        }
        search
    }

    /// The directories of DT_RPATH.
    pub fn rpath<'b>(&self, object: &'b Object) -> &'b [Directory] {
        let list = object.library.rpath.as_deref().unwrap_or_default();
        object.rpath.get_or_init(|| self.directories(list, b":", object))
    }

    /// The directories of DT_RUNPATH.
    pub fn runpath<'b>(&self, object: &'b Object) -> &'b [Directory] {
        let list = object.library.runpath.as_deref().unwrap_or_default();
        object.runpath.get_or_init(|| self.directories(list, b":", object))
    }

    /// The directories of a list, with the tokens of the file that it stands in replaced.
    pub fn directories(&self, list: &[u8], separators: &[u8], object: &Object) -> Vec<Directory> {
        let mut directories: Vec<Directory> = Vec::new();
        if list.is_empty() {
            return directories;
        }
        for element in list.split(|byte| separators.contains(byte)) {
            let Some(mut path) = expand(element, &self.tokens(object)) else { continue };
            let written = (path != element).then(|| element.into());
            // An empty element is the current directory; one that expands to nothing is none.
            if !element.is_empty() {
                if path.is_empty() {
                    continue;
                }
                while path.len() > 1 && path.ends_with(b"/") {
                    path.pop();
                }
                if !path.ends_with(b"/") {
                    path.push(b'/');
                }
            }
            if directories.iter().all(|known| known.path != path) {
                directories.push(Directory { path, written });
            }
        }
        directories
    }

    pub fn tokens<'b>(&'b self, object: &'b Object) -> Tokens<'b> {
        let loader = &self.interpreter.loader;
        Tokens {
            origin: &object.origin,
            lib: loader.lib.as_deref(),
            platform: self.interpreter.choice.platform.map(str::as_bytes),
            secure: self.secure,
            trusted: object.requester.is_none().then_some(&loader.system_directories[..]),
        }
    }

    /// Looks for `name`, which `objects[by]` asks for.
    pub fn find(&self, objects: &[Object], by: usize, name: &[u8]) -> Result<Found, NotFound> {
        let mut others = Vec::new();
        if name.contains(&b'/') {
            let path = expand(name, &self.tokens(&objects[by]));
            let path = path.filter(|path| !path.is_empty());
            let found =
                path.map(|path| self.candidate(path, name, &mut others)).transpose()?.flatten();
            return match found {
                Some((path, library)) => {
                    Ok(Found { path, library, rule: Rule::Path, subdirectory: None })
                }
                None => Err(NotFound::Missing { others }),
            };
        }
        match self.by_name(objects, by, name, &mut others)? {
            Some(found) => Ok(found),
            None => Err(NotFound::Missing { others }),
        }
    }

    fn by_name(
        &self,
        objects: &[Object],
        by: usize,
        name: &[u8],
        others: &mut Vec<Vec<u8>>,
    ) -> Result<Option<Found>, NotFound> {
        let requester = &objects[by];
        if requester.library.runpath.is_none() {
            // DT_RPATH of the file, of the one that it was loaded for, and so on; at last that of
            // the program.
            let chain = std::iter::successors(Some(by), |&index| objects[index].requester);
            let mut chain: Vec<usize> = chain.collect();
            if !chain.contains(&0) {
                chain.push(0);
            }
            for of in chain {
                let list = self.rpath(&objects[of]);
                let rule = |directory: &Directory| Rule::Rpath {
                    of,
                    directory: directory.path.as_slice().into(),
                    written: directory.written.clone(),
                };
                if let Some(found) = self.in_directories(list, name, rule, others)? {
                    return Ok(Some(found));
                }
            }
        }
        let path = |directory: &Directory| directory.path.as_slice().into();
        let rule = |directory: &_| Rule::LibraryPath { directory: path(directory) };
        if let Some(found) = self.in_directories(&self.library_path, name, rule, others)? {
            return Ok(Some(found));
        }
        let rule = |directory: &Directory| Rule::Runpath {
            of: by,
            directory: directory.path.as_slice().into(),
            written: directory.written.clone(),
        };
        if let Some(found) = self.in_directories(self.runpath(requester), name, rule, others)? {
            return Ok(Some(found));
        }
        if let Some(found) = self.in_cache(requester, name, others)? {
            return Ok(Some(found));
        }
        if requester.library.avoids_default_directories {
            return Ok(None);
        }
        let rule = |directory: &_| Rule::Default { directory: path(directory) };
        self.in_directories(&self.system, name, rule, others)
    }

    fn in_cache(
        &self,
        requester: &Object,
        name: &[u8],
        others: &mut Vec<Vec<u8>>,
    ) -> Result<Option<Found>, NotFound> {
        let loader = &self.interpreter.loader;
        let flags = loader.abi.cache_flags(loader.path.as_os_str().as_bytes());
        let cache = self.environment.cache(loader.abi.is_little_endian);
        let Some(cached) = cache.find(name, flags, &self.interpreter.choice.capabilities) else {
            return Ok(None);
        };
        let is_default = |directory: &Vec<u8>| cached.path.starts_with(directory);
        if requester.library.avoids_default_directories
            && loader.system_directories.iter().any(is_default)
        {
            return Ok(None);
        }
        let subdirectory =
            cached.subdirectory.map(|name| [b"glibc-hwcaps/", name].concat().into_boxed_slice());
        let found = self.candidate(cached.path.to_vec(), name, others)?;
        Ok(found.map(|(path, library)| Found { path, library, rule: Rule::Cache, subdirectory }))
    }

    /// The first in these directories.
    fn in_directories(
        &self,
        directories: &[Directory],
        name: &[u8],
        rule: impl Fn(&Directory) -> Rule,
        others: &mut Vec<Vec<u8>>,
    ) -> Result<Option<Found>, NotFound> {
        for directory in directories {
            let mut last_is_unusable = false;
            for subdirectory in &self.interpreter.choice.subdirectories {
                let path = [&directory.path, subdirectory, name].concat();
                last_is_unusable = matches!(self.environment.probe(&path), Probe::Unusable);
                if let Some((path, library)) = self.candidate(path, name, others)? {
                    let rule = rule(directory);
                    let subdirectory = subdirectory.strip_suffix(b"/").map(Into::into);
                    return Ok(Some(Found { path, library, rule, subdirectory }));
                }
            }
            if last_is_unusable {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// The file at this path, if it is for this loader.
    fn candidate(
        &self,
        path: Vec<u8>,
        name: &[u8],
        others: &mut Vec<Vec<u8>>,
    ) -> Result<Option<Loadable>, NotFound> {
        self.attempts.take(name)?;
        let own = &self.interpreter.loader.abi;
        match self.environment.probe(&path) {
            Probe::Absent | Probe::Unusable => Ok(None),
            Probe::Refused(why) => Err(NotFound::Refused { path, why: Some(why.into()) }),
            Probe::Library(library) if !own.accepts(&library.abi) => {
                others.push(path);
                Ok(None)
            }
            Probe::Library(library) if library.abi.is_little_endian != own.is_little_endian => {
                let order = if own.is_little_endian { "little" } else { "big" };
                let why = Some(format!("ELF file data encoding not {order}-endian"));
                Err(NotFound::Refused { path, why })
            }
            Probe::Library(library) => match library.flaw {
                Some(Flaw::Header(why)) => Err(NotFound::Refused { path, why: Some(why.into()) }),
                Some(Flaw::Mapping(why)) => {
                    Err(NotFound::Refused { path: name.to_vec(), why: Some(why.into()) })
                }
                Some(Flaw::Truncated) => Err(NotFound::Refused { path, why: None }),
                None => Ok(Some((path, library))),
            },
        }
    }
}
