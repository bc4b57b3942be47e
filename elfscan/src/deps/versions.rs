//! Which symbol versions tie a file to what it needs, and which of them are not there (glibc's
//! elf/dl-version.c; musl does not look at them).

use statify_elf::c_library::CLibrary;

use super::library::{Name, WantedVersion};
use super::loaded::{Closure, Request};

/// The versions that a module wants of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tie {
    /// Index of the module that wants them.
    pub by: usize,
    /// Index of the one that is to have them.
    pub of: usize,
    /// All, in the order of the file.
    pub wanted: Vec<Name>,
    /// Those that it does not define, and that are not weak.
    pub missing: Vec<Name>,
    /// It has no versions at all, which is no error.
    pub unversioned: bool,
}

/// A version that is not there.
#[derive(Clone, Copy, Debug)]
pub struct Missing<'a> {
    /// Index of the module that wants it.
    pub by: usize,
    /// Index of the one that lacks it.
    pub of: usize,
    /// The version.
    pub name: &'a Name,
}

impl Closure {
    /// Whether everything is there, in the versions that are needed.
    pub fn is_complete(&self) -> bool {
        self.failures().next().is_none() && missing(self).next().is_none()
    }
}

/// All ties of a closure.
pub fn ties(closure: &Closure) -> Vec<Tie> {
    let mut ties: Vec<Tie> = Vec::new();
    for (by, module) in closure.modules.iter().enumerate() {
        let first = ties.len();
        for wanted in &module.library.wanted_versions {
            let Some(of) = provider(closure, by, wanted) else { continue };
            let library = &closure.modules[of].library;
            let known = ties[first..].iter().position(|tie| tie.of == of);
            let at = known.map(|at| at + first).unwrap_or_else(|| {
                let unversioned = library.defined_versions.is_none();
                let (wanted, missing) = (Vec::new(), Vec::new());
                ties.push(Tie { by, of, wanted, missing, unversioned });
                ties.len() - 1
            });
            ties[at].wanted.push(wanted.name.clone());
            if is_missing(closure, of, wanted) {
                ties[at].missing.push(wanted.name.clone());
            }
        }
    }
    ties
}

/// The versions that make a start fail.
pub fn missing(closure: &Closure) -> impl Iterator<Item = Missing<'_>> {
    let checks = closure.interpreter.loader.c_library == CLibrary::Glibc;
    let modules = closure.modules.iter().enumerate().filter(move |_| checks);
    modules.flat_map(move |(by, module)| {
        module.library.wanted_versions.iter().filter_map(move |wanted| {
            let of = provider(closure, by, wanted)?;
            is_missing(closure, of, wanted).then_some(Missing { by, of, name: &wanted.name })
        })
    })
}

fn is_missing(closure: &Closure, of: usize, wanted: &WantedVersion) -> bool {
    !wanted.weak && !closure.modules[of].library.defines_version(&wanted.name)
}

/// The module that goes by the name: as a rule the one that was loaded for this file.
fn provider(closure: &Closure, by: usize, wanted: &WantedVersion) -> Option<usize> {
    let named = |request: &&Request| request.name == wanted.library;
    let own = closure.requests_of(by).iter().find(named).and_then(|own| own.outcome.module());
    own.or_else(|| closure.requests.iter().filter(named).find_map(|any| any.outcome.module()))
}
