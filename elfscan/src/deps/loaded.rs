//! What is loaded for a file: modules, and who asked for them.

use std::ops::Range;
use std::sync::Arc;

use super::environment::Interpreter;
use super::found::{NotFound, Rule};
use super::library::{Kind, Library, Name};

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

    /// The modules in their order, without the file itself.
    pub fn loaded(&self) -> impl Iterator<Item = &Module> {
        self.order.iter().filter_map(|slot| match slot {
            Slot::Module(index) => Some(&self.modules[*index]),
            Slot::Missing(_) => None,
        })
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
