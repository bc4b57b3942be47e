//! What a loader loads for a file: breadth first, no file twice, known by the name it is asked for, by
//! its DT_SONAME or by its inode (glibc's elf/dl-deps.c and elf/dl-load.c; musl's ldso/dynlink.c). In
//! which order stands in a file for each C library.

mod glibc;
mod musl;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use statify_elf::c_library::CLibrary;

use super::environment::{Environment, Interpreter, Subject, directory_of};
use super::found::{Found, Rule};
use super::library::{Kind, Name};
use super::loaded::{By, Closure, Outcome, Request, Slot};
use super::object::Object;
use super::search;
use crate::Result;

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
