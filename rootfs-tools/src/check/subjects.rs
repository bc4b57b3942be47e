//! Which programs are checked, and where the original of each is: by the journal; without one by what
//! stands in the directories.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use elfscan::converted::open::{Converted, MappedFile, NotConverted};

use super::options::Options;
use crate::error::{Error, Result};
use crate::journal::record::{Record, Replacement};
use crate::journal::told::{self, Kept};
use crate::journal::{self, history};
use crate::programs::find;
use crate::tree::{self, FileId, Name, Tree};

/// A file to be checked.
#[derive(Debug)]
pub struct Subject {
    /// All its names that are known, from ROOT on.
    pub names: Vec<PathBuf>,
    /// Where it is found by one of them, or why nothing is.
    pub file: std::result::Result<Name, String>,
    /// What the journal says of it.
    pub replacement: Option<Replacement>,
    /// Its original, or why there is none.
    pub original: std::result::Result<PathBuf, String>,
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// In the order of their names.
    pub subjects: Vec<Subject>,
    /// There is a journal.
    pub journal: bool,
    /// Where the originals are.
    pub originals: Vec<PathBuf>,
}

/// Finds the programs that `options` asks for; an error if there is none.
pub fn find(tree: &Tree, options: &Options) -> Result<Found> {
    let mut originals = Originals::open(options)?;
    let records = match journal::read(tree) {
        Err(Error::NoJournal(_)) => None,
        other => Some(other?),
    };
    let wanted = |path: &Path| {
        (options.only.is_empty() || options.only.is_match(path)) && !options.exclude.is_match(path)
    };
    let mut subjects = match &records {
        Some(records) => of_journal(tree, records, &mut originals),
        None => of_directories(tree, &options.dirs, &mut originals)?,
    };
    let none = subjects.is_empty();
    subjects.retain(|subject| subject.names.iter().any(|name| wanted(name)));
    if subjects.is_empty() {
        let what = match (none, &records) {
            (false, _) => "--only and --exclude leave no converted program".into(),
            (true, Some(_)) => "its journal names no converted program".into(),
            (true, None) => {
                let dirs: Vec<_> = options.dirs.iter().map(|d| d.display().to_string()).collect();
                format!("there is neither a journal nor a converted program in {}", dirs.join(", "))
            }
        };
        return Err(Error::NothingToCheck(tree.path.clone(), what));
    }
    Ok(Found { subjects, journal: records.is_some(), originals: originals.used() })
}

fn of_journal(tree: &Tree, records: &[Record], originals: &mut Originals) -> Vec<Subject> {
    let told = told::tell(tree, records, None);
    let steps: BTreeMap<u64, &(Replacement, Kept)> =
        told.steps.iter().map(|step| (step.0.id, step)).collect();
    let nowhere = Kept::Nowhere;
    let mut subjects = Vec::new();
    for replacement in history::in_place(records) {
        // What is outside of the tree counts more than what its journal says.
        let (replacement, kept) = match steps.get(&replacement.id) {
            Some((replacement, kept)) => (replacement, kept),
            None => (replacement, &nowhere),
        };
        let base = match kept {
            Kept::Backup(place) => Ok(Some(place.path.as_path())),
            Kept::Source(source) => Ok(Some(source.path.as_path())),
            Kept::Nowhere => Ok(None),
            Kept::Unknown(why) if originals.given.is_none() => Err(why.to_string()),
            Kept::Unknown(_) => Ok(None),
        };
        let inside = replacement.kept.as_deref();
        let inside = inside.or(replacement.names.first().map(|n| &**n));
        let original = base.and_then(|base| originals.find(base, inside));
        for (names, file) in by_file(tree, &replacement.names) {
            let (replacement, original) = (Some(replacement.clone()), original.clone());
            subjects.push(Subject { names, file, replacement, original });
        }
    }
    subjects
}

type Named = (Vec<PathBuf>, std::result::Result<Name, String>);

/// The names that stand for one file, for each; a name that stands for nothing is alone.
fn by_file(tree: &Tree, names: &[PathBuf]) -> Vec<Named> {
    let mut files: Vec<(Option<FileId>, Named)> = Vec::new();
    for path in names {
        let found = tree.name_if_there(path).and_then(|name| {
            let name = name.ok_or(io::ErrorKind::NotFound)?;
            let id = tree::id(&name.at().symlink_metadata()?);
            Ok((name, id))
        });
        let (file, id) = match found {
            Ok((name, id)) => (Ok(name), Some(id)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (Err("it is not there any more".into()), None)
            }
            Err(error) => (Err(format!("it cannot be found: {error}")), None),
        };
        match files.iter_mut().find(|(known, _)| id.is_some() && *known == id) {
            Some((_, (names, _))) => names.push(path.clone()),
            None => files.push((id, (vec![path.clone()], file))),
        }
    }
    files.into_iter().map(|(_, named)| named).collect()
}

fn of_directories(
    tree: &Tree,
    dirs: &[PathBuf],
    originals: &mut Originals,
) -> Result<Vec<Subject>> {
    let mut known: BTreeMap<FileId, Option<usize>> = BTreeMap::new();
    let mut subjects: Vec<Subject> = Vec::new();
    for directory in find::directories(tree, dirs)? {
        for name in find::names(tree, &directory)? {
            let Some(stat) = name.at().symlink_metadata().ok().filter(|stat| stat.is_file()) else {
                continue;
            };
            match known.get(&tree::id(&stat)) {
                Some(&Some(index)) => subjects[index].names.push(name.path()),
                Some(None) => {}
                None => {
                    let converted = is_converted(&name.at());
                    known.insert(tree::id(&stat), converted.then_some(subjects.len()));
                    if converted {
                        let original = originals.find(None, Some(&name.path()));
                        subjects.push(Subject {
                            names: vec![name.path()],
                            file: Ok(name),
                            replacement: None,
                            original,
                        });
                    }
                }
            }
        }
    }
    Ok(subjects)
}

/// Whether it is one, be it a damaged one.
fn is_converted(path: &Path) -> bool {
    let Ok(file) = MappedFile::open(path) else {
        return false;
    };
    let read = Converted::read(file.bytes());
    !matches!(read, Err(NotConverted::Elf(_) | NotConverted::NoManifest))
}

/// The trees and directories that hold originals.
struct Originals {
    given: Option<Tree>,
    opened: BTreeMap<PathBuf, Option<Tree>>,
    used: BTreeSet<PathBuf>,
}

impl Originals {
    fn open(options: &Options) -> Result<Self> {
        let given = options.original.as_deref().map(Tree::open).transpose()?;
        Ok(Self { given, opened: BTreeMap::new(), used: BTreeSet::new() })
    }

    /// The file `inside` of the directory that was given, or of `base`.
    fn find(
        &mut self,
        base: Option<&Path>,
        inside: Option<&Path>,
    ) -> std::result::Result<PathBuf, String> {
        let tree = match (&self.given, base) {
            (Some(given), _) => given,
            (None, Some(base)) => {
                let opened = self.opened.entry(base.to_owned());
                let opened = opened.or_insert_with(|| Tree::open(base).ok());
                opened.as_ref().ok_or(format!("{} is not there", base.display()))?
            }
            (None, None) => return Err("no original was kept".into()),
        };
        let inside = Path::new("/").join(inside.unwrap_or(Path::new("")));
        let missing =
            |why: io::Error| format!("{}: {why}", tree.path.join(strip(&inside)).display());
        let name = tree.name(&inside).map_err(missing)?;
        if !name.at().symlink_metadata().map_err(missing)?.is_file() {
            return Err(missing(io::Error::other("it is no file")));
        }
        self.used.insert(tree.path.clone());
        // By its path: a descriptor does not lead into the room's namespace.
        Ok(tree.path.join(strip(&name.path())))
    }

    fn used(self) -> Vec<PathBuf> {
        self.used.into_iter().collect()
    }
}

fn strip(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}
