//! Which programs there are: the regular files in the directories, each once however many names it
//! has. What is not to be converted is counted.

use std::collections::{BTreeMap, HashMap};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::GlobSet;
use statify_elf::ElfError;
use statify_files::beneath;
use statify_program::{Program, Refusal};

use crate::error::reason::Reason;
use crate::error::{Error, Result};
use crate::journal::record::Failure;
use crate::tree::{self, Directory, FileId, Name, Tree};

/// Where programs are.
pub const DIRECTORIES: [&str; 4] = ["/bin", "/sbin", "/usr/bin", "/usr/sbin"];

/// A program that may be converted.
#[derive(Debug)]
pub struct Candidate {
    /// All its names.
    pub names: Vec<Name>,
    /// What stat(2) said when it was found.
    pub stat: Metadata,
    /// What it is.
    pub program: Program,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Where programs are, each directory once.
    pub directories: Vec<Arc<Directory>>,
    /// In the order of their names.
    pub candidates: Vec<Candidate>,
    /// What should be converted and cannot be.
    pub failures: Vec<Failure>,
    /// What stays as it is, by kind.
    pub left: BTreeMap<String, u64>,
    /// Of that, programs for machines whose programs are not converted here, and why; the first of them.
    pub foreign: Vec<Failure>,
}

/// More programs for other machines are counted only.
const MOST_FOREIGN: usize = 1000;

/// What a file is, besides a program.
enum Kind {
    Left(&'static str),
    Failed(Reason),
    Foreign(Reason),
}

/// Looks into `dirs`, paths of the tree, but for what `exclude` matches.
pub fn find(tree: &Tree, dirs: &[PathBuf], exclude: &GlobSet) -> Result<Found> {
    let mut found = Found { directories: directories(tree, dirs)?, ..Found::default() };
    if found.directories.is_empty() {
        let names: Vec<_> = dirs.iter().map(|dir| dir.display().to_string()).collect();
        return Err(Error::NotARoot(tree.path.clone(), names.join(", ")));
    }
    let mut known: HashMap<FileId, usize> = HashMap::new();
    let mut obstacles = Obstacles::default();
    for directory in found.directories.clone() {
        for name in names(tree, &directory)? {
            let path = name.path();
            let Ok(stat) = name.at().symlink_metadata() else {
                continue;
            };
            let kind = match kind_without_opening(&stat, exclude.is_match(&path)) {
                Some(kind) => Kind::Left(kind),
                None => {
                    if let Some(&index) = known.get(&tree::id(&stat)) {
                        found.candidates[index].names.push(name);
                        continue;
                    }
                    match statify_program::open(&tree.root, &path) {
                        Ok(program) => {
                            known.insert(tree::id(&stat), found.candidates.len());
                            found.candidates.push(Candidate { names: vec![name], stat, program });
                            continue;
                        }
                        Err(error) => obstacles.see(error),
                    }
                }
            };
            match kind {
                Kind::Left(kind) => *found.left.entry(kind.into()).or_default() += 1,
                Kind::Failed(reason) => found.failures.push(Failure::new(vec![path], reason)),
                Kind::Foreign(reason) => {
                    *found.left.entry("for another architecture".into()).or_default() += 1;
                    if found.foreign.len() < MOST_FOREIGN {
                        found.foreign.push(Failure::new(vec![path], reason));
                    }
                }
            }
        }
    }
    if found.candidates.is_empty() {
        obstacles.explain(tree)?;
    }
    add_other_names(tree, &mut found.candidates, &known)?;
    Ok(found)
}

/// The directories, each once: in a merged /usr, /bin is /usr/bin.
pub(crate) fn directories(tree: &Tree, dirs: &[PathBuf]) -> Result<Vec<Arc<Directory>>> {
    let mut directories = Vec::new();
    let mut ids = Vec::new();
    for path in dirs {
        let directory = match tree.directory(path) {
            Ok(directory) => directory,
            Err(error) if beneath::is_gone(&error) => continue,
            Err(error) => return Err(Error::file("read", &tree.path.join(strip(path)))(error)),
        };
        let stat = directory.file().metadata().map_err(Error::file("read", path))?;
        if !ids.contains(&tree::id(&stat)) {
            ids.push(tree::id(&stat));
            directories.push(Arc::new(directory));
        }
    }
    Ok(directories)
}

fn strip(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

/// The names in a directory, sorted.
pub(crate) fn names(tree: &Tree, directory: &Arc<Directory>) -> Result<Vec<Name>> {
    let unreadable = |error| Error::file("read", &tree.path.join(strip(&directory.path)))(error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory.at(".")).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.file_name();
        names.push(Name { directory: directory.clone(), file });
    }
    names.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(names)
}

fn kind_without_opening(stat: &Metadata, excluded: bool) -> Option<&'static str> {
    if stat.is_symlink() {
        Some("symbolic link")
    } else if !stat.is_file() {
        Some("no regular file")
    } else if excluded {
        Some("excluded")
    } else {
        None
    }
}

/// What stands against conversion, and what it is if it is the same for all.
#[derive(Default)]
struct Obstacles {
    /// Machines whose programs are not converted here, and how many are for each.
    machines: Vec<(ElfError, usize)>,
    loaders: Vec<PathBuf>,
    others: usize,
}

impl Obstacles {
    fn see(&mut self, refusal: Refusal) -> Kind {
        match &refusal {
            Refusal::Script(..) => return Kind::Left("script"),
            Refusal::Static(_) => return Kind::Left("static"),
            Refusal::Converted(_) => {
                self.others += 1;
                return Kind::Left("converted already");
            }
            Refusal::Elf(_, ElfError::NotElf) => return Kind::Left("no ELF file"),
            Refusal::Elf(_, error @ (ElfError::NotHere(_) | ElfError::Machine(..))) => {
                match self.machines.iter_mut().find(|(known, _)| known == error) {
                    Some((_, count)) => *count += 1,
                    None => self.machines.push((*error, 1)),
                }
                return Kind::Foreign(Reason::refused(&refusal));
            }
            Refusal::NotExecutable(..) => return Kind::Left("no program"),
            Refusal::NotPermitted(_) => return Kind::Left("not executable"),
            Refusal::Interpreter(_, interpreter, _) => self.loaders.push(interpreter.clone()),
            _ => self.others += 1,
        }
        Kind::Failed(Reason::refused(&refusal))
    }

    /// Of a tree without a program that can be converted.
    fn explain(self, tree: &Tree) -> Result<()> {
        if let (Some(loader), 0) = (self.loaders.first(), self.others) {
            return Err(Error::NoLoader(tree.path.clone(), loader.clone()));
        }
        if self.machines.is_empty() || self.others > 0 {
            return Ok(());
        }
        let told = self.machines.iter().map(|(error, count)| format!("of {count} {error}"));
        Err(Error::OtherArchitecture(tree.path.clone(), told.collect::<Vec<_>>().join("; ")))
    }
}

/// Names outside of the directories, of files that have more than were found.
fn add_other_names(
    tree: &Tree,
    candidates: &mut [Candidate],
    known: &HashMap<FileId, usize>,
) -> Result<()> {
    let lacks = |candidate: &Candidate| candidate.stat.nlink() > candidate.names.len() as u64;
    if !candidates.iter().any(lacks) {
        return Ok(());
    }
    // What cannot be read has no names that could be replaced.
    for entry in tree::walk(tree)?.filter_map(std::result::Result::ok) {
        let tree::Entry { name, stat } = entry;
        if !stat.is_file() || stat.nlink() < 2 {
            continue;
        }
        let Some(candidate) = known.get(&tree::id(&stat)).map(|&index| &mut candidates[index])
        else {
            continue;
        };
        let path = name.path();
        if !candidate.names.iter().any(|name| name.path() == path) {
            candidate.names.push(name);
        }
    }
    Ok(())
}
