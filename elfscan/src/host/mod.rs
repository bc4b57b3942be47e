//! `elfscan host`: what may still come from the host at run time.
//!
//! It is told by what modules import, not by what they mention: [`entry_points`] lists the
//! functions by which libraries are opened, files read and programs run, and why; [`imports`] finds
//! who imports them, and [`arch`] with [`calls`] what is asked for where they are called. What a C
//! library can do by itself counts for who calls it ([`libraries`]), so that a program that only
//! writes a line has no finding although its libc.so.6 can open the name service's modules.
//!
//! Not seen is what goes past dynamic symbols: system calls made without the C library, functions
//! found by dlsym(3), and loaders that programs have of their own.

mod calls;
mod closure;
mod embedded;
mod entry_points;
mod imports;
mod judge;
mod libraries;
mod module;
mod names;
mod nss;
mod verdict;

use std::path::Path;

use goblin::elf::dynamic::{DF_1_PIE, DT_FLAGS_1};
use goblin::elf::header::{ET_DYN, ET_EXEC};
use statify_elf::ElfFile;
use statify_elf::c_library::musl;
use statify_format::manifest::{FileKind, Manifest};
use statify_program::Refusal;
use statify_room::Root;

use self::closure::Loaded;
use self::module::{Bytes, Module};
use crate::Result;

pub use verdict::{Answer, Category, Certainty, Finding, Form, Kind, Name, Symbol, Verdict};

/// What glibc's loader takes before a program runs (ld.so(8)).
const AT_START: [&str; 5] =
    ["LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "/etc/ld.so.preload", "/etc/ld.so.cache"];
/// What musl's takes (ldso/dynlink.c); `*` is the machine.
const AT_START_MUSL: [&str; 3] = ["LD_PRELOAD", "LD_LIBRARY_PATH", "/etc/ld-musl-*.path"];

/// Examines the bytes of any file as if it were alone: nothing else is opened.
pub fn examine_bytes(bytes: &[u8]) -> Vec<Finding> {
    let module =
        |bytes: &[u8]| Module { path: "/file".into(), bytes: Bytes::Rebuilt(bytes.into()) };
    let manifest = ElfFile::parse_any(bytes).ok().and_then(|elf| Manifest::read(&elf));
    let modules = match manifest {
        Some(manifest) => embedded::modules(bytes, &manifest).unwrap_or_default(),
        None => vec![module(bytes)],
    };
    judge::judge(&modules, None, &[])
}

/// Examines a file; its libraries are looked for in `root`.
pub fn examine(root: &Root, path: &Path) -> Result<Verdict> {
    let bytes = module::open(root, path)?;
    let elf = ElfFile::parse_any(&bytes).map_err(|source| Refusal::Elf(path.to_owned(), source))?;
    if let Some(manifest) = Manifest::read(&elf) {
        let modules = embedded::modules(&bytes, &manifest);
        let modules = modules.map_err(|source| Refusal::Elf(path.to_owned(), source))?;
        return Ok(of_converted(path, modules, &manifest));
    }
    if !matches!(elf.header().e_type, ET_EXEC | ET_DYN) {
        return Err(Refusal::NotExecutable(path.to_owned(), elf.header().e_type).into());
    }
    let damaged = |source| Refusal::Elf(path.to_owned(), source);
    let interpreter = elf.interpreter().map_err(damaged)?;
    let dynamic = elf.dynamic().map_err(damaged)?;
    // A static program that can be loaded anywhere relocates itself by its dynamic section.
    let is_dynamic = dynamic.is_some_and(|dynamic| {
        let flags = dynamic.value(DT_FLAGS_1).unwrap_or_default();
        interpreter.is_some() || flags & DF_1_PIE == 0
    });
    if !is_dynamic {
        return Err(crate::Error::NoImports(path.to_owned()));
    }
    let interpreter = interpreter.map(|path| String::from_utf8_lossy(path).into_owned());
    let form = if interpreter.is_some() { Form::Program } else { Form::Library };
    let first = root.absolute(path).unwrap_or_else(|_| path.to_owned());
    let first = Module { path: first, bytes };
    let Loaded { modules, missing } = closure::closure(root, path, first)?;
    let mut findings = judge::judge(&modules, None, &[]);
    let of_loader = |category, kind, path: &Path, names: Vec<Name>| Finding {
        category,
        kind,
        module: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        path: path.to_string_lossy().into_owned(),
        symbols: Vec::new(),
        names,
        unknown_names: false,
        answer: Answer::Host,
    };
    let certain = |name: String| Name { certainty: Certainty::Certain, name };
    findings.extend(missing.into_iter().map(|(name, needed_by)| {
        of_loader(Category::Missing, Kind::Code, &needed_by, vec![certain(name)])
    }));
    if let Some(interpreter) = interpreter {
        let names: &[&str] = if modules.iter().any(is_musl) { &AT_START_MUSL } else { &AT_START };
        let names = names.iter().map(|name| Name::of_library(name));
        let names = names.chain([certain(interpreter)]).collect();
        findings.push(of_loader(Category::Start, Kind::Start, &modules[0].path, names));
    }
    Ok(verdict(path, form, None, findings, &modules))
}

/// Whether it is musl, whose loader is its C library, too.
fn is_musl(module: &Module) -> bool {
    ElfFile::parse_any(&module.bytes).is_ok_and(|elf| elf.defines(&musl::LOADER_SYMBOLS))
}

fn of_converted(path: &Path, modules: Vec<Module>, manifest: &Manifest) -> Verdict {
    let is_plugin = |module: &Module| {
        let of = manifest.files.iter().find(|file| file.path == module.path);
        of.is_some_and(|file| file.kind == FileKind::Plugin)
    };
    let plugins: Vec<usize> =
        (0..modules.len()).filter(|&index| is_plugin(&modules[index])).collect();
    let host_libs = manifest.options.host_libs;
    let findings = judge::judge(&modules, Some(host_libs), &plugins);
    verdict(path, Form::Converted, Some(host_libs), findings, &modules)
}

fn verdict(
    path: &Path,
    form: Form,
    host_libs: Option<statify_format::HostLibs>,
    findings: Vec<Finding>,
    modules: &[Module],
) -> Verdict {
    let name = |path: &Path| path.to_string_lossy().into_owned();
    let modules = modules.iter().map(|module| name(&module.path)).collect();
    Verdict::new(name(path), form, host_libs, findings, modules)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A program with imports of many kinds.
    fn program() -> &'static [u8] {
        static BYTES: std::sync::LazyLock<Vec<u8>> =
            std::sync::LazyLock::new(|| std::fs::read("/bin/ls").expect("there is a /bin/ls"));
        &BYTES
    }

    #[test]
    fn a_program_alone() {
        let categories: Vec<_> =
            examine_bytes(program()).iter().map(|finding| finding.category).collect();
        assert!(categories.contains(&Category::Nss), "{categories:?}");
        assert!(categories.contains(&Category::Locale), "{categories:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn changed_programs(
            changes in prop::collection::vec((0usize..20_000, any::<u8>()), 1..40),
            len in 0usize..200_000,
        ) {
            let mut changed = program().to_vec();
            for (at, byte) in changes {
                changed[at] = byte;
            }
            changed.truncate(len);
            let _ = examine_bytes(&changed);
        }

        #[test]
        fn changed_headers(changes in prop::collection::vec((0usize..1024, any::<u8>()), 1..8)) {
            let mut changed = program().to_vec();
            for (at, byte) in changes {
                changed[at] = byte;
            }
            let _ = examine_bytes(&changed);
        }
    }
}
