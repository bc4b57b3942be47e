//! Which files to embed: what the loader maps for `--with`, what the program maps in a run for
//! `--trace`.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use goblin::elf::header::ET_DYN;
use statify_elf::ElfFile;
use statify_elf::machine::Cpu;
use statify_format::HostLibs;

use super::names::{self, Names};
use super::plugin::{Plugin, Plugins, Request};
use crate::capture::variation::{self, Mode};
use crate::capture::{self, Files, Object, Observation, Preloaded, Subject};
use crate::error::{Error, Result};

/// The files in which the C library keeps what its converters (iconv_open(3)) are called.
const CONVERTERS: &[u8] = b"gconv-modules";
/// What glibc opens by itself, to unwind (pthread_exit(3), pthread_cancel(3), backtrace(3)); it
/// ends the process where it does not find it.
const UNWINDER: &[u8] = b"libgcc_s.so.1";
/// The loader's words for a library that it goes on without.
const IGNORED: &str = "from LD_PRELOAD cannot be preloaded";

/// The loader's words for a symbol that it finds nowhere.
const LATER: &str = "symbol lookup error";

/// Finds them. `modules` are the files that are mapped from the start, program and loader first.
pub fn find(subject: &Subject, modules: &[Object], request: &Request) -> Result<Plugins> {
    let preloaded = preload(subject, modules, request)?;
    let (missing, machine) = (&preloaded.missing, subject.machine);
    let directories = names::system_directories(missing, capture::NOWHERE, machine, Path::is_dir);
    let mut found = Plugins { directories, ..Plugins::default() };
    let mut seen = vec![preloaded];
    if let Some(arguments) = &request.trace {
        let files = Files::default();
        let (observation, ending) =
            capture::follow(&subject.program, arguments, request.trace_to_stderr, files)?;
        found.ending = Some(ending);
        seen.push(observation);
    }
    let asked = |object: &Object| -> BTreeSet<Vec<u8>> {
        seen.iter().filter_map(|seen| seen.opened.get(&object.id)).flatten().cloned().collect()
    };
    let mut names = Names::default();
    let mut files: BTreeMap<_, Plugin> = BTreeMap::new();
    for object in seen.iter().flat_map(|seen| &seen.mapped) {
        let is_module = modules.iter().any(|module| module.id == object.id);
        if is_module || files.contains_key(&object.path) || !is_library(object) {
            continue;
        }
        let names = names.of(object, &asked(object));
        let plugin = Plugin { object: object.clone(), names, is_data: false };
        files.insert(object.path.clone(), plugin);
    }
    for given in &request.with {
        // As it was written, too: a program may write it so.
        if let Ok(path) = given.canonicalize()
            && let Some(plugin) = files.get_mut(&path)
        {
            plugin.names.insert(given.as_os_str().as_bytes().to_vec());
        }
    }
    let loader = &modules[1].path;
    for observation in &seen {
        for site in observation.openers.keys().chain(&observation.askers) {
            if site.path == *loader {
                found.loader_sites.insert(site.clone());
            }
        }
        for data in data_files(observation, modules) {
            let names = names.of(&data.object, &asked(&data.object));
            found.library_sites.extend(data.sites);
            let plugin = Plugin { object: data.object, names, is_data: true };
            files.entry(plugin.object.path.clone()).or_insert(plugin);
        }
    }
    found.modules = modules.iter().map(|object| names.of(object, &asked(object))).collect();
    // By path: what is embedded does not depend on the order of opening.
    found.files = files.into_values().collect();
    Ok(found)
}

fn is_library(object: &Object) -> bool {
    ElfFile::parse(&object.bytes).is_ok_and(|elf| elf.header().e_type == ET_DYN)
}

/// The loader's own answer to what `--with` needs.
fn preload(subject: &Subject, modules: &[Object], request: &Request) -> Result<Observation> {
    let refuse = |library: &Path, why: &str| {
        Err(Error::Plugin(subject.program.clone(), library.to_owned(), why.to_owned()))
    };
    let mut libraries = Vec::new();
    for library in &request.with {
        let bytes = library.as_os_str().as_bytes();
        let absolute = if bytes.contains(&b'/') {
            if let Err(error) = library.metadata() {
                return refuse(library, &error.to_string());
            }
            std::path::absolute(library).unwrap_or_else(|_| library.clone())
        } else {
            library.clone()
        };
        let bytes = absolute.as_os_str().as_bytes().to_vec();
        if bytes.iter().any(|byte| b" :$".contains(byte)) {
            return refuse(library, "the loader takes no blank, colon or dollar sign in a name");
        }
        libraries.push(bytes);
    }
    let variation = variation::first(Mode {
        machine: subject.machine,
        fixed: false,
        apart: false,
        bind_now: false,
        cpu: Cpu::This,
        agent: false,
    });
    let mut list: Vec<&[u8]> = libraries.iter().map(Vec::as_slice).collect();
    let names_it = |object: &Object| object.bytes.windows(UNWINDER.len()).any(|w| w == UNWINDER);
    if request.host_libs == HostLibs::Deny && modules.iter().any(names_it) {
        list.push(UNWINDER);
    }
    let preloaded = capture::preload(subject, &variation, &list)?;
    for (library, name) in request.with.iter().zip(&libraries) {
        let quoted = format!("'{}'", String::from_utf8_lossy(name));
        let about = |line: &&str| line.contains(IGNORED) && line.contains(&quoted);
        if let Some(line) = preloaded.messages.lines().find(about) {
            let why = line.split_once(IGNORED).map_or(line, |(_, why)| why);
            return refuse(library, why.trim_matches([' ', '(', ')', ':', '.']));
        }
    }
    let Preloaded { observation, messages, failure } = preloaded;
    let Some(failure) = failure else { return Ok(observation) };
    let Some(library) = request.with.first() else { return Err(failure) };
    // The loader maps everything before it relocates anything.
    let said = messages.lines().find(|line| !line.contains(IGNORED) && !line.contains(LATER));
    if let Some(line) = said {
        let (_, why) =
            line.split_once("error while loading shared libraries: ").unwrap_or(("", line));
        return refuse(library, why);
    }
    let is_mapped = |library: &PathBuf| {
        let is_it = |name: &Vec<u8>| {
            let last = name.rsplit(|&byte| byte == b'/').next();
            last == library.file_name().map(OsStrExt::as_bytes)
        };
        observation.opened.iter().any(|(id, names)| {
            names.iter().any(is_it) && observation.mapped.iter().any(|o| o.id == *id)
        })
    };
    match request.with.iter().find(|library| !is_mapped(library)) {
        Some(library) => refuse(library, &failure.to_string()),
        None => Ok(observation),
    }
}

struct Data {
    object: Object,
    sites: Vec<capture::CallSite>,
}

/// Lists of converters that the C library has read by itself.
fn data_files(observation: &Observation, modules: &[Object]) -> Vec<Data> {
    let files = Files::default();
    let mut found: BTreeMap<capture::FileId, Data> = BTreeMap::new();
    for (id, paths) in &observation.opened {
        let is_list = |path: &&Vec<u8>| {
            path.rsplit(|&byte| byte == b'/').next().is_some_and(|n| n.starts_with(CONVERTERS))
        };
        let Some(path) = paths.iter().find(is_list) else { continue };
        let sites: Vec<_> = observation
            .openers
            .iter()
            .filter(|(site, opened)| {
                opened.contains(id) && modules.iter().any(|module| module.path == site.path)
            })
            .map(|(site, _)| site.clone())
            .collect();
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        let object = files.at(path);
        if let Ok(object) = object
            && object.id == *id
            && !sites.is_empty()
        {
            found.insert(*id, Data { object, sites });
        }
    }
    found.into_values().collect()
}
