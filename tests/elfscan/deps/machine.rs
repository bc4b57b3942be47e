//! Every dynamic executable and library of this machine.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, ensure};
use serde_json::Value;
use statify_tests::case::{Case, Cases, run};
use statify_tests::process::End;

use super::said::{LOADER, list_of, listing, loader_says};
use crate::elfscan::tool::json;

pub fn add(cases: &mut Cases) {
    cases.check("deps/as-ld.so-lists-it-on-the-whole-machine", whole_machine);
    cases.check("deps/by-the-rule-that-ld.so-says", rules);
}

/// The ELF executables and libraries under /usr, each file once, with the loader for their kind.
fn files() -> Result<Vec<(PathBuf, Option<&'static str>)>> {
    let mut files = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    let mut left = vec![PathBuf::from("/usr")];
    while let Some(directory) = left.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                left.push(entry.path());
            } else if metadata.is_file() && seen.insert((metadata.dev(), metadata.ino())) {
                files.extend(loader_for(&entry.path()).map(|loader| (entry.path(), loader)));
            }
        }
    }
    files.sort();
    ensure!(files.len() > 50, "only {} ELF files under /usr", files.len());
    Ok(files)
}

/// The loader of this machine for a file; the outer `None` for files that no loader takes.
fn loader_for(path: &Path) -> Option<Option<&'static str>> {
    let mut head = [0; 20];
    fs::File::open(path).ok()?.read_exact(&mut head).ok()?;
    let (class, kind, machine) = (head[4], head[16], u16::from_le_bytes([head[18], head[19]]));
    if head[..4] != *b"\x7fELF" || !matches!(kind, 2 | 3) {
        return None;
    }
    let loader = match (class, machine) {
        (2, 62) => LOADER,
        (1, 3) => "/lib/ld-linux.so.2",
        _ => return Some(None),
    };
    Some(Some(loader).filter(|loader| Path::new(loader).exists()))
}

/// Does something with each file, on every CPU.
fn in_parallel<T: Sync>(all: &[T], each: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = each(one) {
                        let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
                        failures.push(format!("{error:#}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    let some = failures.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
    ensure!(failures.is_empty(), "{} differ, among them:\n{some}", failures.len());
    Ok(())
}

fn whole_machine(case: &Case) -> Result<()> {
    // What a loader does not list, by the reason.
    let not_listed: Mutex<BTreeMap<String, usize>> = Mutex::default();
    let count = |reason: &str| {
        let mut counts = not_listed.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(reason.into()).or_default() += 1;
    };
    let agreed = AtomicUsize::new(0);
    in_parallel(&files()?, |(file, loader)| {
        let own = listing(case, &[] as &[&str], file)?;
        ensure!(matches!(own.end, End::Exit(0 | 1)), "{}: {}", file.display(), own.end);
        let Some(loader) = loader else {
            count("for a loader that is not here");
            return Ok(());
        };
        let show = |theirs: &str| {
            let own = own.stdout_text() + &own.stderr_text();
            format!("{}:\nelfscan:\n{own}\nthe loader:\n{theirs}", file.display())
        };
        if own.stderr_text().contains("no loader loads anything for it") {
            // A static program has nothing to list: its loader says so, or cannot map it.
            let theirs = loader_says(case, Path::new(loader), &[], file)?;
            ensure!(theirs.as_ref().map_or(true, Vec::is_empty), show(&format!("{theirs:?}")));
            count("static, or debugging information");
            return Ok(());
        }
        if own.stderr_text().contains("it is converted") {
            count("converted");
            return Ok(());
        }
        ensure!(own.stderr.is_empty(), show(""));
        match loader_says(case, Path::new(loader), &[], file)? {
            // A library of musl's, say: another loader is asked than the one that lists it.
            _ if is_of_other_loader(file)? => count("of another loader"),
            Ok(theirs) => {
                let list: Vec<String> = own.stdout_text().lines().map(String::from).collect();
                ensure!(list == theirs, show(&theirs.join("\n")));
                agreed.fetch_add(1, Ordering::Relaxed);
            }
            // A file that a loader refuses to map though the kernel would have started it.
            Err(words) => {
                let known = ["ELF file OS ABI invalid", "cannot allocate memory in static TLS"];
                let reason = known.iter().find(|reason| words.contains(**reason));
                count(reason.ok_or_else(|| anyhow::anyhow!(show(&words)))?);
            }
        }
        Ok(())
    })?;
    let not_listed = not_listed.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("deps: {} files agree; not compared: {not_listed:?}", agreed.into_inner());
    Ok(())
}

/// Whether elfscan says that another loader than glibc's is in charge.
fn is_of_other_loader(file: &Path) -> Result<bool> {
    let bytes = fs::read(file)?;
    let elf = goblin::elf::Elf::parse(&bytes);
    let is_musl = |name: &str| name.starts_with("libc.musl-") || name == "libc.so";
    Ok(elf.is_ok_and(|elf| {
        elf.interpreter.is_some_and(|path| path.contains("ld-musl"))
            || (elf.interpreter.is_none() && elf.libraries.iter().any(|name| is_musl(name)))
    }))
}

/// For how many files ld.so is asked.
const SAMPLE: usize = 150;

/// By which rule, and where, ld.so says that it found a library (LD_DEBUG=libs).
fn rules(case: &Case) -> Result<()> {
    let all = files()?;
    let of_this = all.iter().filter(|(_, loader)| *loader == Some(LOADER));
    let of_this: Vec<&PathBuf> = of_this.map(|(file, _)| file).collect();
    // About so many, on a machine of any size.
    let step = (of_this.len() / SAMPLE).max(1);
    let sample: Vec<&PathBuf> = of_this.into_iter().step_by(step).collect();
    let compared = AtomicUsize::new(0);
    in_parallel(&sample, |file| {
        if let Ok((own, _)) = json(["deps".as_ref(), "--json".as_ref(), file.as_os_str()])
            && own["loader"]["path"] == LOADER
        {
            compared.fetch_add(check_rules(case, file, &own)?, Ordering::Relaxed);
        }
        Ok(())
    })?;
    ensure!(compared.into_inner() > 100, "hardly anything was compared");
    Ok(())
}

/// Holds every library of `own`, an answer in JSON, against the loader's words; how many it held.
pub fn check_rules(case: &Case, file: &Path, own: &Value) -> Result<usize> {
    let mut command = case.command(LOADER);
    command.arg(file).env("LD_DEBUG", "libs").env("LD_TRACE_LOADED_OBJECTS", "1");
    let outcome = run(&mut command)?;
    let listed = list_of(&outcome.stdout_text());
    let theirs = searches(&outcome.stderr_text());
    let modules = own["modules"].as_array().into_iter().flatten();
    let mut count = 0;
    for module in modules {
        let path = module["path"].as_str().unwrap_or_default();
        let rule = module["rule"].as_str().unwrap_or_default();
        if matches!(rule, "file" | "loader" | "path") {
            continue;
        }
        ensure!(listed.iter().any(|line| line.ends_with(path)), "{path} is not listed");
        let found = theirs.get(path);
        ensure!(
            found.map(String::as_str) == Some(rule),
            "{}: {path}: elfscan says {rule}, ld.so {found:?}",
            file.display()
        );
        count += 1;
    }
    Ok(count)
}

/// For each path that was tried last in a search, the rule by which it was.
fn searches(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let (mut rule, mut last) = ("", None);
    for line in text.lines() {
        let line = line.split_once(":\t").map_or(line, |(_, line)| line).trim();
        if line.starts_with("find library=") || line.is_empty() {
            found.extend(last.take());
        } else if line.starts_with("search cache=") {
            rule = "cache";
        } else if line.starts_with("search path=") {
            rule = match line.rsplit_once('(').map_or("", |(_, what)| what) {
                what if what.starts_with("RPATH") => "rpath",
                what if what.starts_with("RUNPATH") => "runpath",
                what if what.starts_with("LD_LIBRARY_PATH") => "library_path",
                _ => "default",
            };
        } else if let Some(path) = line.strip_prefix("trying file=") {
            last = Some((path.to_owned(), rule.to_owned()));
        }
    }
    found.extend(last);
    found
}
