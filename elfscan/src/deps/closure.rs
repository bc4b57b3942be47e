//! What a loader loads for a file: breadth first, no file twice, known by the name it is asked for, by
//! its DT_SONAME or by its inode (glibc's elf/dl-deps.c and elf/dl-load.c; musl's ldso/dynlink.c). In
//! which order stands in a file for each C library.

mod glibc;
mod musl;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use elf::c_library::CLibrary;

use super::environment::{Environment, Interpreter, Subject, directory_of};
use super::library::{Kind, Library, Name};
use super::search::{self, Directory, Found, NotFound, Rule};
use super::versions;
use crate::Result;

/// A file and what is loaded for it.
#[derive(Clone, Debug)]
pub struct Closure {
    /// The loader.
    pub interpreter: Arc<Interpreter>,
    /// Whether it starts with privileges that its caller lacks.
    pub secure: bool,
    /// The file itself, and the others as they were found.
    pub modules: Vec<Module>,
    /// Who asked for what, in the order of the asking.
    pub requests: Vec<Request>,
    /// The order in which symbols are looked up, which is that of `ldd`, without the file itself.
    pub order: Vec<Slot>,
}

/// A place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Index of a module.
    Module(usize),
    /// Index of a request for what is not there.
    Missing(usize),
}

/// A file that is loaded.
#[derive(Clone, Debug)]
pub struct Module {
    /// As the loader puts it together: with symbolic links, and `..` where a search path has it.
    pub path: Vec<u8>,
    /// What it is.
    pub library: Arc<Library>,
    /// The rule by which it was found.
    pub rule: Rule,
    /// The subdirectory by the CPU's abilities in which it was found.
    pub subdirectory: Option<Name>,
    /// Index of the module that it was loaded for; none of the file itself.
    pub requester: Option<usize>,
    /// Indices of its own requests. Those of the file itself begin with what is preloaded.
    pub requests: Range<usize>,
}

/// Something that was asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Index of the module that asks.
    pub by: usize,
    /// How.
    pub kind: Kind,
    /// The name, its tokens replaced.
    pub name: Name,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// This module was loaded for it.
    Loaded(usize),
    /// This module was there already.
    Known(usize, By),
    /// There is none.
    Missing {
        /// Files of the name that are for another machine.
        others: Vec<Vec<u8>>,
    },
    /// There is one that the loader refuses.
    Refused {
        /// Its path, or the name that was asked for: whichever the loader's message names.
        path: Vec<u8>,
        /// Why, in the loader's words; `None` if it dies without any.
        why: Option<String>,
    },
}

/// By what a module was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// It was asked for by this name before, or this is its DT_SONAME.
    Name,
    /// It is the same file.
    Inode,
}

impl Outcome {
    /// The module, if there is one.
    pub fn module(&self) -> Option<usize> {
        match self {
            Self::Loaded(index) | Self::Known(index, _) => Some(*index),
            Self::Missing { .. } | Self::Refused { .. } => None,
        }
    }
}

impl Closure {
    /// The requests that make a start fail: not those for what may be missing.
    pub fn failures(&self) -> impl Iterator<Item = &Request> {
        let matters = |request: &&Request| matches!(request.kind, Kind::Needed | Kind::Filter);
        self.requests.iter().filter(matters).filter(|request| request.outcome.module().is_none())
    }

    /// The requests of one module, in its order.
    pub fn requests_of(&self, by: usize) -> &[Request] {
        &self.requests[self.modules[by].requests.clone()]
    }

    /// Whether everything is there, in the versions that are needed.
    pub fn is_complete(&self) -> bool {
        self.failures().next().is_none() && versions::missing(self).next().is_none()
    }

    /// The modules in their order, without the file itself.
    pub fn loaded(&self) -> impl Iterator<Item = &Module> {
        self.order.iter().filter_map(|slot| match slot {
            Slot::Module(index) => Some(&self.modules[*index]),
            Slot::Missing(_) => None,
        })
    }
}

/// What a loader loads for the file at this path.
pub fn closure(environment: &Environment, path: &Path) -> Result<Closure> {
    closure_of(environment, &environment.open(path)?)
}

/// The same for a file that is open already.
pub fn closure_of(environment: &Environment, subject: &Subject) -> Result<Closure> {
    let interpreter = environment.interpreter(&subject.library)?;
    let main = Object {
        path: subject.path.as_os_str().as_bytes().to_vec(),
        library: subject.library.clone(),
        rule: Rule::Subject,
        subdirectory: None,
        requester: None,
        origin: subject.origin.clone(),
        secure: subject.secure,
        requests: 0..0,
        rpath: OnceLock::new(),
        runpath: OnceLock::new(),
    };
    let mut state = State {
        environment,
        interpreter: &interpreter,
        objects: vec![main],
        known: HashMap::new(),
        files: HashMap::new(),
        requests: Vec::new(),
    };
    let order = match interpreter.loader.c_library {
        CLibrary::Glibc => state.glibc(),
        CLibrary::Musl => state.musl(),
    };
    let State { objects, requests, .. } = state;
    let modules = objects.into_iter().map(Object::into_module).collect();
    Ok(Closure { secure: subject.secure, modules, requests, order, interpreter })
}

/// A module while it is being found out what it needs.
pub(super) struct Object {
    pub path: Vec<u8>,
    pub library: Arc<Library>,
    pub rule: Rule,
    pub subdirectory: Option<Name>,
    pub requester: Option<usize>,
    /// `$ORIGIN`.
    pub origin: Vec<u8>,
    pub secure: bool,
    requests: Range<usize>,
    rpath: OnceLock<Vec<Directory>>,
    runpath: OnceLock<Vec<Directory>>,
}

impl Object {
    /// The directories of DT_RPATH.
    pub fn rpath(&self, search: &search::Search<'_>) -> &[Directory] {
        let list = self.library.rpath.as_deref().unwrap_or_default();
        self.rpath.get_or_init(|| search.directories(list, b":", self))
    }

    /// The directories of DT_RUNPATH.
    pub fn runpath(&self, search: &search::Search<'_>) -> &[Directory] {
        let list = self.library.runpath.as_deref().unwrap_or_default();
        self.runpath.get_or_init(|| search.directories(list, b":", self))
    }

    fn into_module(self) -> Module {
        let Self { path, library, rule, subdirectory, requester, requests, .. } = self;
        Module { path, library, rule, subdirectory, requester, requests }
    }
}

/// What a name or a file stands for.
#[derive(Clone, Copy)]
enum Known {
    Module(usize),
    /// The loader, which is there from the start, but no module before somebody asks for it.
    Loader,
}

struct State<'a> {
    environment: &'a Environment,
    interpreter: &'a Interpreter,
    objects: Vec<Object>,
    known: HashMap<Name, Known>,
    files: HashMap<(u64, u64), usize>,
    requests: Vec<Request>,
}

impl State<'_> {
    fn ask(
        &mut self,
        search: &search::Search<'_>,
        by: usize,
        kind: Kind,
        name: Name,
    ) -> Option<Slot> {
        let outcome = match self.known.get(&name) {
            Some(Known::Module(index)) => Outcome::Known(*index, By::Name),
            Some(Known::Loader) => self.add_loader(by),
            None => match search.find(&self.objects, by, &name) {
                Ok(found) => self.add(found, by, &name),
                Err(error) => error.into(),
            },
        };
        self.note(by, kind, name, outcome)
    }

    /// Keeps a request. `None` if it adds nothing: what may be missing, and is.
    fn note(&mut self, by: usize, kind: Kind, name: Name, outcome: Outcome) -> Option<Slot> {
        let module = outcome.module();
        self.requests.push(Request { by, kind, name, outcome });
        match (module, kind) {
            (Some(index), _) => Some(Slot::Module(index)),
            (None, Kind::Needed | Kind::Filter) => Some(Slot::Missing(self.requests.len() - 1)),
            (None, Kind::Auxiliary | Kind::Preload) => None,
        }
    }

    fn add(&mut self, found: Found, by: usize, name: &Name) -> Outcome {
        let index = self.objects.len();
        let known = match self.files.entry(found.library.id) {
            Entry::Occupied(entry) => Some(*entry.get()),
            Entry::Vacant(entry) => {
                entry.insert(index);
                None
            }
        };
        if let Some(known) = known {
            self.known.insert(name.clone(), Known::Module(known));
            return Outcome::Known(known, By::Inode);
        }
        for name in found.library.soname.iter().chain([name]) {
            self.known.entry(name.clone()).or_insert(Known::Module(index));
        }
        self.push(found, by);
        Outcome::Loaded(index)
    }

    fn push(&mut self, found: Found, by: usize) {
        let Found { path, library, rule, subdirectory } = found;
        let origin = if path.starts_with(b"/") {
            directory_of(&path)
        } else {
            let root = &self.environment.options().root;
            let path = PathBuf::from(std::ffi::OsStr::from_bytes(&path));
            let absolute = root.absolute(&path).unwrap_or(path);
            directory_of(absolute.as_os_str().as_bytes())
        };
        self.objects.push(Object {
            path,
            library,
            rule,
            subdirectory,
            requester: Some(by),
            origin,
            secure: self.objects[0].secure,
            requests: 0..0,
            rpath: OnceLock::new(),
            runpath: OnceLock::new(),
        });
    }

    fn add_loader(&mut self, by: usize) -> Outcome {
        let index = self.objects.len();
        let path = self.interpreter.loader.path.as_os_str().as_bytes().to_vec();
        let Some(library) = self.interpreter.library.clone() else {
            return Outcome::Missing { others: Vec::new() };
        };
        for known in self.known.values_mut() {
            if matches!(known, Known::Loader) {
                *known = Known::Module(index);
            }
        }
        self.push(Found { path, library, rule: Rule::Loader, subdirectory: None }, by);
        Outcome::Loaded(index)
    }
}

impl From<NotFound> for Outcome {
    fn from(error: NotFound) -> Self {
        match error {
            NotFound::Missing { others } => Self::Missing { others },
            NotFound::Refused { path, why } => Self::Refused { path, why },
        }
    }
}
