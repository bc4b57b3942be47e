//! Where musl's loader looks for a library (ldso/dynlink.c, `load_library`; the manual's page on
//! dynamic linking): what is inherited along the chain of those that need one another is RPATH and
//! RUNPATH alike, there is no cache, and the first file that can be opened is taken.

use super::environment::{Environment, Interpreter, Probe, directory_of};
use super::found::{Found, NotFound, Rule};
use super::object::Object;
use super::search::Attempts;

/// Names that stand for the C library itself, which is the loader: up to the first dot after `lib`.
const RESERVED: [&[u8]; 7] = [b"c", b"pthread", b"rt", b"m", b"dl", b"util", b"xnet"];
/// No name of a library is longer, in bytes.
const LONGEST: usize = 255;

/// A search for what one program needs.
pub(super) struct Search<'a> {
    pub environment: &'a Environment,
    pub interpreter: &'a Interpreter,
    pub secure: bool,
    pub attempts: Attempts,
}

/// Whether a name means the loader, however it is written.
pub(super) fn is_own(name: &[u8]) -> bool {
    let rest = name.strip_prefix(b"lib").unwrap_or_default();
    RESERVED.iter().any(|own| rest.strip_prefix(*own).is_some_and(|rest| rest.starts_with(b".")))
}

impl Search<'_> {
    /// Looks for `name`, which `objects[by]` asks for.
    pub fn find(&self, objects: &[Object], by: usize, name: &[u8]) -> Result<Found, NotFound> {
        let missing = NotFound::Missing { others: Vec::new() };
        if name.contains(&b'/') {
            return self.take(name.to_vec(), Rule::Path)?.ok_or(missing);
        }
        if name.len() > LONGEST {
            return Err(missing);
        }
        let options = self.environment.options();
        let library_path = options.library_path.as_deref().filter(|_| !self.secure);
        let rule = |directory| Rule::LibraryPath { directory };
        match self.in_list(library_path.unwrap_or_default(), name, rule)? {
            Step::Found(found) => return Ok(found),
            Step::GoOn => {}
            Step::Stop => return Err(missing),
        }
        let chain = std::iter::successors(Some(by), |&index| objects[index].requester);
        for of in chain {
            let library = &objects[of].library;
            let Some(list) = library.runpath.as_ref().or(library.rpath.as_ref()) else { continue };
            let Some(list) = self.expand(list, &objects[of]) else { continue };
            let is_rpath = library.runpath.is_none();
            let rule = |directory| match is_rpath {
                true => Rule::Rpath { of, directory, written: None },
                false => Rule::Runpath { of, directory, written: None },
            };
            match self.in_list(&list, name, rule)? {
                Step::Found(found) => return Ok(found),
                Step::GoOn => {}
                Step::Stop => return Err(missing),
            }
        }
        let (list, is_configured) = &self.interpreter.search_path;
        let rule = |directory| match is_configured {
            true => Rule::Configured { directory },
            false => Rule::Default { directory },
        };
        match self.in_list(list, name, rule)? {
            Step::Found(found) => Ok(found),
            Step::GoOn | Step::Stop => Err(missing),
        }
    }

    /// `$ORIGIN` and `${ORIGIN}`; a list with another token is ignored.
    fn expand(&self, list: &[u8], object: &Object) -> Option<Vec<u8>> {
        let mut expanded = Vec::new();
        let mut rest = list;
        while let Some(at) = rest.iter().position(|&byte| byte == b'$') {
            expanded.extend(&rest[..at]);
            let after = &rest[at..];
            let tokens = [&b"$ORIGIN"[..], b"${ORIGIN}"];
            rest = tokens.iter().find_map(|token| after.strip_prefix(*token))?;
            if self.secure && !object.origin.starts_with(b"/") {
                return None;
            }
            expanded.extend(&object.origin);
        }
        expanded.extend(rest);
        Some(expanded)
    }

    fn in_list(
        &self,
        list: &[u8],
        name: &[u8],
        rule: impl Fn(Box<[u8]>) -> Rule,
    ) -> Result<Step, NotFound> {
        let directories = list.split(|byte| b":\n".contains(byte));
        for directory in directories.filter(|directory| !directory.is_empty()) {
            self.attempts.take(name)?;
            let path = [directory, b"/", name].concat();
            if matches!(self.environment.probe(&path), Probe::Unusable) {
                return Ok(Step::Stop);
            }
            if let Some(found) = self.take(path, rule(directory.into()))? {
                return Ok(Step::Found(found));
            }
        }
        Ok(Step::GoOn)
    }

    fn take(&self, path: Vec<u8>, rule: Rule) -> Result<Option<Found>, NotFound> {
        match self.environment.probe(&path) {
            Probe::Absent | Probe::Unusable => Ok(None),
            Probe::Refused(_) => {
                Err(NotFound::Refused { path, why: Some("Exec format error".into()) })
            }
            Probe::Library(library) => {
                // It does not look at the machine, and would crash.
                if library.abi != self.interpreter.loader.abi {
                    let why = Some("it is for another machine, and musl does not look".into());
                    return Err(NotFound::Refused { path, why });
                }
                Ok(Some(Found { path, library, rule, subdirectory: None }))
            }
        }
    }
}

enum Step {
    Found(Found),
    GoOn,
    Stop,
}

/// The name that a library is known by once it has been found by searching.
pub(super) fn short_name(path: &[u8]) -> &[u8] {
    let directory = directory_of(path);
    match path.strip_prefix(directory.as_slice()) {
        Some(rest) if path.contains(&b'/') => rest.strip_prefix(b"/").unwrap_or(rest),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_its_own() {
        for (name, own) in [
            ("libc.so", true),
            ("libc.musl-x86_64.so.1", true),
            ("libpthread.so.0", true),
            ("libm.so.6", true),
            ("libmagic.so.1", false),
            ("libcurl.so.4", false),
            ("ld.so", false),
        ] {
            assert_eq!(is_own(name.as_bytes()), own, "{name}");
        }
        assert_eq!(short_name(b"/a/b/libx.so"), b"libx.so");
        assert_eq!(short_name(b"/libx.so"), b"libx.so");
    }
}
