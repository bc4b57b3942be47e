//! What a run would do, and about what it would cost (`--dry-run`): from what the loader would load,
//! found without running anything. Nothing is written.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use elfscan::deps;
use goblin::elf::program_header::{PF_W, ProgramHeader};
use rayon::prelude::*;
use serde::Serialize;
use statify::unloaded;
use statify_elf::{ElfFile, Excerpt, PAGE, page_down, page_up};
use statify_files::path_text;
use statify_printable::printable;
use statify_program::Refusal;

use super::options::Options;
use crate::error::Result;
use crate::error::reason::Reason;
use crate::journal::record::{Failure, Size};
use crate::measure::size;
use crate::pool::place;
use crate::programs::find::{self, Candidate, Found};
use crate::programs::plan::{self, Unit};
use crate::report::Pool;
use crate::report::figures::{Growth, Table};
use crate::tree::lock::Lock;
use crate::tree::{FileId, Tree, id};

/// Headers, starter and its tables, and the manifest's beginning: in each output, in bytes. Measured, as the next.
const EACH_PROGRAM: u64 = 21 << 10;
/// Words that the starter writes, other tables and the manifest's lines: for each embedded file, in bytes.
const EACH_FILE: u64 = 2800;

/// What a run would do, as far as it is known without one.
#[derive(Clone, Debug, Serialize)]
pub struct Estimate {
    /// The tree.
    #[serde(with = "path_text")]
    pub root: PathBuf,
    /// The programs that would be converted, a file with several names being one.
    pub programs: Vec<Program>,
    /// Their sizes together.
    pub table: Table,
    /// What is known now not to be convertible. More may turn up when the loaders run.
    pub failures: Vec<Failure>,
    /// How many of them for which reason.
    pub failure_reasons: BTreeMap<String, usize>,
    /// What would stay as it is, by kind.
    pub left: BTreeMap<String, u64>,
    /// The pool, if there is to be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
    /// Of that, programs for machines whose programs are not converted here, and why.
    pub foreign: Vec<Failure>,
    /// The whole tree now.
    pub image: Size,
    /// The sum of its files' sizes, before and after.
    pub image_growth: Growth,
}

/// A program that would be converted.
#[derive(Clone, Debug, Serialize)]
pub struct Program {
    /// All names, from ROOT on.
    pub names: Vec<String>,
    /// Its size now, and about what it would be.
    #[serde(flatten)]
    pub growth: Growth,
    /// How many libraries would be embedded, the loader among them.
    pub libraries: usize,
}

/// Looks at the tree as a run with these options would find it. It is read only, with a lock that
/// keeps runs from changing it meanwhile.
pub fn estimate(options: &Options) -> Result<Estimate> {
    let tree = Tree::open(&options.root)?;
    let _lock = Lock::shared(&tree)?;
    let place = options.pool.as_deref().map(|pool| place::find(&tree, pool)).transpose()?;
    let found = find::find(&tree, &options.dirs, &options.exclude)?;
    let image = size::tree(&tree)?;
    let Found { candidates, failures, left, foreign, .. } = found;
    let (units, unreadable) = plan::plan(candidates);
    let sizes = Sizes::new(&tree, options);
    let of = |unit: &Unit| sizes.of_output(&unit.candidates[0]);
    let outputs: Vec<_> = units.par_iter().map(of).collect();
    let mut programs = Vec::new();
    let mut failures: Vec<_> = failures.into_iter().chain(unreadable).collect();
    for (unit, size) in units.iter().zip(outputs) {
        for candidate in &unit.candidates {
            let names: Vec<PathBuf> = candidate.names.iter().map(|name| name.path()).collect();
            match &size {
                Ok((converted, libraries)) => programs.push(Program {
                    names: names.iter().map(|name| path_text::to_text(name)).collect(),
                    growth: Growth::new(candidate.stat.len(), *converted),
                    libraries: *libraries,
                }),
                Err(reason) => failures.push(Failure::new(names, reason.clone())),
            }
        }
    }
    programs.sort_by(|a, b| a.names.cmp(&b.names));
    let mut failure_reasons = BTreeMap::new();
    for failure in &failures {
        *failure_reasons.entry(failure.reason.clone()).or_default() += 1;
    }
    let named = programs.iter().map(|program| (program.names[0].as_str(), &program.growth));
    let table = Table::of(named);
    let pool = place.map(|place| sizes.pool(&place.path));
    let added = pool.as_ref().map_or(0, |pool| pool.size);
    let after =
        image.apparent - table.total.original.min(image.apparent) + table.total.converted + added;
    Ok(Estimate {
        root: tree.path,
        table,
        failures,
        failure_reasons,
        left,
        pool,
        foreign,
        image,
        image_growth: Growth::new(image.apparent, after),
        programs,
    })
}

/// Finds out sizes; each library is looked at once.
struct Sizes<'a> {
    tree: &'a Tree,
    options: &'a Options,
    environment: deps::Environment,
    /// What is known of each file.
    mapped: Mutex<HashMap<FileId, Mapped>>,
    /// Sizes of the files that the pool would have.
    pooled: Mutex<HashMap<FileId, u64>>,
}

/// What is known of a file that is embedded, in bytes.
#[derive(Clone, Copy, Debug)]
struct Mapped {
    /// How much of it is mapped.
    mapped: u64,
    /// How much of that is never written to.
    constant: u64,
    size: u64,
}

impl<'a> Sizes<'a> {
    fn new(tree: &'a Tree, options: &'a Options) -> Self {
        let environment = deps::Options::of_conversion(tree.root.clone());
        let environment = deps::Environment::new(environment);
        Self { tree, options, environment, mapped: Mutex::default(), pooled: Mutex::default() }
    }

    /// About what the output of a program would be, in bytes, and how many files besides it would be in it.
    fn of_output(&self, candidate: &Candidate) -> Result<(u64, usize), Reason> {
        let program = &candidate.program;
        let refused = |refusal: Refusal| Reason::refused(&refusal);
        program.check_privileges(self.options.preserve_privileges).map_err(refused)?;
        let closure = deps::closure(&self.environment, &program.path).map_err(|error| {
            let message = error.to_string();
            match error {
                elfscan::Error::Refused(refusal) => refused(refusal),
                _ => Reason { kind: "other", message },
            }
        })?;
        if let Some(refusal) = deps::refusal(&self.environment, &closure) {
            return Err(refused(refusal));
        }
        let mut known: HashSet<FileId> = HashSet::new();
        let unreadable = |error| Reason::file(&program.path, "read", &error);
        let unloaded = self.unloaded(program).map_err(unreadable)?;
        let mut sizes = Vec::new();
        // In the output's order: the program, its loader, libraries.
        let path = |module: &'_ deps::Module| PathBuf::from(OsStr::from_bytes(&module.path));
        let mut paths: Vec<PathBuf> = closure.modules.iter().map(path).collect();
        paths.insert(paths.len().min(1), program.interpreter.clone());
        for (index, path) in paths.iter().enumerate() {
            let unreadable = |error| Reason::file(path, "read", &error);
            let (file, about) = self.mapped(path).map_err(unreadable)?;
            if known.insert(file) {
                sizes.push(about.mapped);
            }
            // The program is its own only; one with privileges takes nothing from a pool.
            let is_enough = about.constant >= statify::FEWEST_POOLED_PAGES * PAGE;
            if index > 0 && is_enough && program.privileges.is_none() {
                locked(&self.pooled).insert(file, about.size);
            }
        }
        let align = self.options.shape.align;
        // Only what is large begins at a multiple of its own; libraries always do.
        let mut size = EACH_PROGRAM + EACH_FILE * sizes.len() as u64;
        for (index, mapped) in sizes.iter().enumerate() {
            let is_aligned = index > 0 || *mapped >= 2 * align;
            size = size.next_multiple_of(if is_aligned { align } else { PAGE }) + mapped;
        }
        Ok((size + unloaded, known.len() - 1))
    }

    /// How much the output has of a program that is not loaded.
    fn unloaded(&self, program: &statify_program::Program) -> io::Result<u64> {
        let found = self.tree.root.find(&program.path)?;
        let file = File::open(found.link())?;
        let mut excerpt = Excerpt::new();
        let elf = ElfFile::parse(excerpt.read(&file, file.metadata()?.len())?);
        let elf = elf.map_err(io::Error::other)?;
        Ok(unloaded::size(&elf, &program.unclaimed, self.options.shape.strip))
    }

    /// How much of a file is mapped, in whole pages.
    fn mapped(&self, path: &Path) -> io::Result<(FileId, Mapped)> {
        let found = self.tree.root.find(path)?;
        let stat = found.link().metadata()?;
        if let Some(&mapped) = locked(&self.mapped).get(&id(&stat)) {
            return Ok((id(&stat), mapped));
        }
        let file = File::open(found.link())?;
        let mut excerpt = Excerpt::new();
        let elf = ElfFile::parse(excerpt.read(&file, stat.len())?).map_err(io::Error::other)?;
        let sum = |wanted: fn(&ProgramHeader) -> bool| {
            let loads = elf.loads().filter(|load| load.p_filesz > 0 && wanted(load));
            let pages = loads.map(|load| {
                page_up(load.p_offset.saturating_add(load.p_filesz))
                    .saturating_sub(page_down(load.p_offset))
            });
            pages.fold(0u64, u64::saturating_add).min(page_up(stat.len()).saturating_mul(4))
        };
        let constant = sum(|load| load.p_flags & PF_W == 0);
        let about = Mapped { mapped: sum(|_| true), constant, size: stat.len() };
        locked(&self.mapped).insert(id(&stat), about);
        Ok((id(&stat), about))
    }

    /// The pool at `path`, after all outputs.
    fn pool(&self, path: &Path) -> Pool {
        let pooled = locked(&self.pooled);
        Pool {
            path: path_text::to_text(path),
            files: pooled.len(),
            size: pooled.values().copied().fold(0, u64::saturating_add),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// For a terminal.
pub fn text(estimate: &Estimate) -> String {
    let left = estimate.left.iter().map(|(kind, count)| format!("{count} {}", printable(kind)));
    let left: Vec<_> = left.collect();
    let left = if left.is_empty() { "none".into() } else { left.join(", ") };
    let mut text = format!(
        "{}: {} programs would be converted, {} could not be; other files: {left}\n\n\
         About (bytes)\n{}\n",
        path_text::to_text(&estimate.root),
        estimate.programs.len(),
        estimate.failures.len(),
        crate::report::text::estimated(
            &estimate.table,
            estimate.pool.as_ref(),
            &estimate.image_growth
        ),
    );
    if !estimate.failures.is_empty() {
        text.push_str("\nNot to be converted\n");
        for (reason, count) in &estimate.failure_reasons {
            text.push_str(&format!("  {count} {}\n", printable(reason)));
            for failure in estimate.failures.iter().filter(|failure| failure.reason == *reason) {
                text.push_str(&format!("    {}\n", printable(&failure.message)));
            }
        }
    }
    if !estimate.foreign.is_empty() {
        text.push_str("\nFor other machines\n");
        for program in &estimate.foreign {
            text.push_str(&format!("  {}\n", printable(&program.message)));
        }
    }
    text
}
