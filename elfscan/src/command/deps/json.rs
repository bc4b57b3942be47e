//! The answer as JSON. Its field names are stable.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use elfscan::deps::{
    self, By, Closure, ConflictKind, Environment, Kind, Module, Options, Outcome, Request, Rule,
};
use serde::Serialize;
use statify_elf::c_library::CLibrary;

/// The whole answer.
#[derive(Serialize)]
pub struct Answer {
    file: String,
    loader: Loader,
    secure: bool,
    complete: bool,
    /// In the order of loading, the file itself first.
    modules: Vec<ModuleAnswer>,
    requests: Vec<RequestAnswer>,
    versions: Vec<VersionsAnswer>,
    missing: Vec<MissingAnswer>,
    conflicts: Vec<ConflictAnswer>,
    /// Why a conversion would fail for what is loaded; none for libraries.
    refusal: Option<String>,
}

#[derive(Serialize)]
struct Loader {
    path: String,
    found: bool,
    c_library: &'static str,
    architecture: &'static str,
    default_directories: Vec<String>,
    /// In the order of the search; the directory itself is the last.
    subdirectories: Vec<String>,
}

#[derive(Serialize)]
struct ModuleAnswer {
    path: String,
    real_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    soname: Option<String>,
    #[serde(flatten)]
    rule: RuleAnswer,
    #[serde(skip_serializing_if = "Option::is_none")]
    subdirectory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loaded_for: Option<String>,
}

#[derive(Serialize)]
struct RuleAnswer {
    rule: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    directory_as_written: Option<String>,
}

#[derive(Serialize)]
struct RequestAnswer {
    by: String,
    name: String,
    kind: &'static str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    for_other_machines: Vec<String>,
}

#[derive(Serialize)]
struct VersionsAnswer {
    by: String,
    of: String,
    wanted: Vec<String>,
    missing: Vec<String>,
    unversioned: bool,
}

#[derive(Serialize)]
struct MissingAnswer {
    name: String,
    /// For a version, the library that lacks it.
    #[serde(skip_serializing_if = "Option::is_none")]
    version_of: Option<String>,
    needed_by: String,
}

#[derive(Serialize)]
struct ConflictAnswer {
    kind: &'static str,
    name: String,
    paths: Vec<String>,
}

/// Puts a closure into the form that is printed.
pub fn describe(environment: &Environment, closure: &Closure) -> Answer {
    let path = |index: usize| text(&closure.modules[index].path);
    let order = closure.order.iter().filter_map(|slot| match slot {
        deps::Slot::Module(index) => Some(*index),
        deps::Slot::Missing(_) => None,
    });
    let modules = std::iter::once(0).chain(order).map(|index| {
        let module = &closure.modules[index];
        ModuleAnswer {
            path: text(&module.path),
            real_path: lossy(&environment.real_path(&module.path)),
            soname: module.library.soname.as_deref().map(text),
            rule: rule(closure, module),
            subdirectory: module.subdirectory.as_deref().filter(|name| !name.is_empty()).map(text),
            loaded_for: module.requester.map(path),
        }
    });
    let libraries = closure.failures().map(|request| MissingAnswer {
        name: text(&request.name),
        version_of: None,
        needed_by: path(request.by),
    });
    let versions = deps::missing(closure).map(|missing| MissingAnswer {
        name: text(missing.name),
        version_of: Some(path(missing.of)),
        needed_by: path(missing.by),
    });
    let conflicts = deps::conflicts(closure).into_iter().map(|conflict| ConflictAnswer {
        kind: match conflict.kind {
            ConflictKind::Duplicate => "duplicate",
            ConflictKind::Versions => "versions",
        },
        name: text(&conflict.name),
        paths: conflict.modules.into_iter().map(path).collect(),
    });
    let ties = deps::ties(closure).into_iter().map(|tie| VersionsAnswer {
        by: path(tie.by),
        of: path(tie.of),
        wanted: tie.wanted.iter().map(|name| text(name)).collect(),
        missing: tie.missing.iter().map(|name| text(name)).collect(),
        unversioned: tie.unversioned,
    });
    Answer {
        file: path(0),
        loader: loader(closure),
        secure: closure.secure,
        complete: closure.is_complete() && closure.interpreter.library.is_some(),
        modules: modules.collect(),
        requests: closure.requests.iter().map(|asked| request(closure, asked)).collect(),
        versions: ties.collect(),
        missing: libraries.chain(versions).collect(),
        conflicts: conflicts.collect(),
        refusal: refusal(environment, closure),
    }
}

fn refusal(environment: &Environment, closure: &Closure) -> Option<String> {
    let library = &closure.modules[0].library;
    library.interpreter.as_ref().filter(|_| library.abi.known().is_some())?;
    let environment = Environment::new(Options::of_conversion(environment.options().root.clone()));
    let path = OsStr::from_bytes(&closure.modules[0].path);
    let closure = deps::closure(&environment, path.as_ref()).ok()?;
    deps::refusal(&environment, &closure).map(|error| error.to_string())
}

fn loader(closure: &Closure) -> Loader {
    let interpreter = &closure.interpreter;
    Loader {
        path: lossy(&interpreter.loader.path),
        found: interpreter.library.is_some(),
        c_library: match interpreter.loader.c_library {
            CLibrary::Glibc => "glibc",
            CLibrary::Musl => "musl",
        },
        architecture: interpreter.loader.abi.name(),
        default_directories: match interpreter.loader.c_library {
            CLibrary::Glibc => {
                interpreter.loader.system_directories.iter().map(|path| text(path)).collect()
            }
            CLibrary::Musl => {
                let list = interpreter.search_path.0.split(|byte| b":\n".contains(byte));
                list.filter(|path| !path.is_empty()).map(text).collect()
            }
        },
        subdirectories: interpreter.choice.subdirectories.iter().map(|path| text(path)).collect(),
    }
}

fn rule(closure: &Closure, module: &Module) -> RuleAnswer {
    let answer = |rule, directory: Option<&deps::Name>| RuleAnswer {
        rule,
        rule_of: None,
        directory: directory.map(|directory| text(directory)),
        directory_as_written: None,
    };
    let of = |rule, index: usize, directory, written: &Option<deps::Name>| RuleAnswer {
        rule_of: Some(text(&closure.modules[index].path)),
        directory_as_written: written.as_deref().map(text),
        ..answer(rule, Some(directory))
    };
    match &module.rule {
        Rule::Path => answer("path", None),
        Rule::Rpath { of: index, directory, written } => of("rpath", *index, directory, written),
        Rule::Runpath { of: index, directory, written } => {
            of("runpath", *index, directory, written)
        }
        Rule::LibraryPath { directory } => answer("library_path", Some(directory)),
        Rule::Cache => answer("cache", None),
        Rule::Configured { directory } => answer("configured", Some(directory)),
        Rule::Default { directory } => answer("default", Some(directory)),
        Rule::Loader => answer("loader", None),
        Rule::Subject => answer("file", None),
    }
}

fn request(closure: &Closure, request: &Request) -> RequestAnswer {
    let path = |index: usize| text(&closure.modules[index].path);
    let mut answer = RequestAnswer {
        by: path(request.by),
        name: text(&request.name),
        kind: match request.kind {
            Kind::Needed => "needed",
            Kind::Auxiliary => "auxiliary",
            Kind::Filter => "filter",
            Kind::Preload => "preload",
        },
        outcome: match &request.outcome {
            Outcome::Loaded(_) => "loaded",
            Outcome::Known(_, By::Name) => "known_by_name",
            Outcome::Known(_, By::Inode) => "known_by_inode",
            Outcome::Missing { .. } => "missing",
            Outcome::Refused { .. } => "refused",
        },
        path: request.outcome.module().map(path),
        reason: None,
        for_other_machines: Vec::new(),
    };
    match &request.outcome {
        Outcome::Missing { others } => {
            answer.for_other_machines = others.iter().map(|other| text(other)).collect();
        }
        Outcome::Refused { path, why } => {
            answer.path = Some(text(path));
            answer.reason = Some(super::text::reason(why).to_owned());
        }
        Outcome::Loaded(_) | Outcome::Known(..) => {}
    }
    answer
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn lossy(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
