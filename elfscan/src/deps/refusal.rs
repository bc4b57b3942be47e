//! Why a conversion of a program would fail for what is loaded for it, in the conversion's own
//! words ([`Refusal`]): there, the loader runs and says so itself.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use statify_elf::c_library::CLibrary;
use statify_program::Refusal;

use super::environment::{Environment, Probe};
use super::loaded::{Closure, Outcome, Request};
use super::versions;

/// The error that a conversion of the closure's file would end with; `None` if nothing that can be
/// seen from outside speaks against it. What is wrong with the file itself is not looked at. The
/// environment is to be that of a conversion ([`super::Options::of_conversion`]).
pub fn refusal(environment: &Environment, closure: &Closure) -> Option<Refusal> {
    let program = path(&closure.modules[0].path);
    let root = &environment.options().root;
    let program = root.absolute(&program).unwrap_or(program);
    let error = loading(environment, closure, &program)
        .or_else(|| writable_code(environment, closure, &program))?;
    Some(error.in_root(root))
}

fn loading(environment: &Environment, closure: &Closure, program: &Path) -> Option<Refusal> {
    let is_glibc = closure.interpreter.loader.c_library == CLibrary::Glibc;
    if let Some(request) = closure.failures().next() {
        return Some(match &request.outcome {
            Outcome::Refused { why: None, .. } => {
                Refusal::LoaderDied(program.to_owned(), "signal SIGBUS".into())
            }
            Outcome::Refused { path, why: Some(why) } if is_glibc => {
                refused(program, &format!("{}: {why}", text(path)))
            }
            Outcome::Refused { why: Some(why), .. } => {
                let message = musl_message(closure, request, why);
                Refusal::Loading(program.to_owned(), message)
            }
            Outcome::Missing { others } => match other_class(environment, closure, others) {
                Some(class) => {
                    let name = text(&request.name);
                    refused(program, &format!("{name}: wrong ELF class: ELFCLASS{class}"))
                }
                None => missing(environment, closure, request, program),
            },
            _ => missing(environment, closure, request, program),
        });
    }
    let messages: Vec<String> = versions::missing(closure)
        .map(|missing| {
            let of = text(&closure.modules[missing.of].path);
            let by = match missing.by {
                0 => program.display().to_string(),
                by => text(&closure.modules[by].path),
            };
            let version = text(missing.name);
            format!("{}: {of}: version `{version}' not found (required by {by})", program.display())
        })
        .collect();
    (!messages.is_empty()).then(|| Refusal::Loading(program.to_owned(), messages.join("; ")))
}

fn refused(program: &Path, message: &str) -> Refusal {
    let program = program.to_owned();
    let message = format!("{}: error while loading shared libraries: {message}", program.display());
    Refusal::Loading(program, message)
}

/// The class of a file that glibc's loader met and could not use, which is then what it says.
fn other_class(
    environment: &Environment,
    closure: &Closure,
    others: &[Vec<u8>],
) -> Option<&'static str> {
    let is_64 = closure.interpreter.loader.abi.is_64;
    let has_other = |path: &Vec<u8>| match environment.probe(path) {
        Probe::Library(library) => library.abi.is_64 != is_64,
        _ => false,
    };
    others.iter().any(has_other).then_some(if is_64 { "32" } else { "64" })
}

fn missing(
    environment: &Environment,
    closure: &Closure,
    request: &Request,
    program: &Path,
) -> Refusal {
    let requester = &closure.modules[request.by];
    let by = match closure.interpreter.loader.c_library {
        // musl's words name the file as it was found.
        CLibrary::Musl if request.by != 0 => path(&requester.path),
        CLibrary::Musl => program.to_owned(),
        CLibrary::Glibc => environment.real_path(&requester.path),
    };
    Refusal::LibraryMissing(program.to_owned(), text(&request.name), by.display().to_string())
}

fn musl_message(closure: &Closure, request: &Request, why: &str) -> String {
    let by = text(&closure.modules[request.by].path);
    format!("Error loading shared library {}: {why} (needed by {by})", text(&request.name))
}

fn writable_code(environment: &Environment, closure: &Closure, program: &Path) -> Option<Refusal> {
    let is_musl = closure.interpreter.loader.c_library == CLibrary::Musl;
    let module = closure.modules.iter().find(|module| {
        let library = &module.library;
        library.has_writable_code || (is_musl && library.has_text_relocations)
    })?;
    Some(Refusal::WritableCode(program.to_owned(), environment.real_path(&module.path)))
}

fn path(bytes: &[u8]) -> PathBuf {
    OsStr::from_bytes(bytes).into()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
