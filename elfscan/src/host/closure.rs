//! The libraries that a program or library is loaded with.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use statify_room::Root;

use super::module::{self, Module};
use crate::Result;
use crate::deps::{self, Environment, Options};

/// What is loaded together.
pub struct Loaded {
    /// A file with its libraries and its loader, in the order of their loading.
    pub modules: Vec<Module>,
    /// The names of libraries that were not found, with the file that needs each.
    pub missing: Vec<(String, PathBuf)>,
}

/// What is loaded for `first`, the file at `path`.
pub fn closure(root: &Root, path: &Path, first: Module) -> Result<Loaded> {
    let environment = Environment::new(Options { root: root.clone(), ..Options::default() });
    let closure = deps::closure(&environment, path)?;
    let mut paths: Vec<PathBuf> = closure.loaded().map(|module| to_path(&module.path)).collect();
    // What needs no C library is started by a loader all the same.
    let interpreter = &closure.interpreter;
    let loader = interpreter.library.as_ref().map(|library| library.id);
    if loader.is_some_and(|id| closure.modules.iter().all(|module| module.library.id != id)) {
        paths.push(interpreter.loader.path.clone());
    }
    let mut modules = vec![first];
    for path in paths {
        let bytes = module::open(root, &path)?;
        modules.push(Module { path, bytes });
    }
    let missing = closure.failures().map(|request| {
        let name = String::from_utf8_lossy(&request.name).into_owned();
        (name, to_path(&closure.modules[request.by].path))
    });
    Ok(Loaded { modules, missing: missing.collect() })
}

fn to_path(bytes: &[u8]) -> PathBuf {
    Path::new(OsStr::from_bytes(bytes)).to_owned()
}
