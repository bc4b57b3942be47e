//! The files of a converted tree, and of the tree as it was before: its programs' originals in the place
//! of the converted ones, as far as they are kept.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use statify_files::{beneath, contents};

use crate::error::{Error, Result};
use crate::journal::record::{Record, Replacement};
use crate::journal::told::{self, Kept};
use crate::journal::{history, state};
use crate::measure::size::BLOCK;
use crate::tree::copy::{self, Instead};
use crate::tree::{self, Tree};

/// Where the originals of converted programs are.
#[derive(Clone, Debug, Default)]
pub struct Originals {
    /// By each name, from ROOT on.
    by_name: HashMap<PathBuf, PathBuf>,
    /// The tree that all of them are in, if it is one.
    source: Option<PathBuf>,
    /// What was not there: the pool's files, and the directories that were made for it.
    added: HashSet<PathBuf>,
}

/// A tree's regular files, each once.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// Their paths, as they are.
    pub now: Vec<PathBuf>,
    /// Their paths as they were: the originals, where they are known; without what was not there.
    pub before: Option<Vec<PathBuf>>,
    /// Bytes of blocks of everything else: directories, links, devices.
    pub others: u64,
}

impl Originals {
    /// Finds those of `replaced`, of the tree whose journal says `records`; an error is a sentence that says
    /// what is not there.
    pub fn find(
        tree: &Tree,
        records: &[Record],
        replaced: &[&Replacement],
    ) -> Result<Self, String> {
        let wanted: HashSet<u64> = replaced.iter().map(|replacement| replacement.id).collect();
        let told = told::tell(tree, records, None);
        let steps: Vec<_> =
            told.steps.iter().filter(|(replacement, _)| wanted.contains(&replacement.id)).collect();
        let found = steps.par_iter().map(|(replacement, kept)| original(replacement, kept));
        let found = found.collect::<Result<Vec<_>, _>>()?;
        let by_name = steps.iter().zip(found).flat_map(|((replacement, _), path)| {
            replacement.names.iter().map(move |name| (name.clone(), path.clone()))
        });
        let sources: HashSet<Option<&Path>> = steps
            .iter()
            .map(|(_, kept)| match kept {
                Kept::Source(root) => Some(root.path.as_path()),
                _ => None,
            })
            .collect();
        let source = match sources.len() {
            1 => sources.into_iter().next().flatten().map(Path::to_owned),
            _ => None,
        };
        let made = history::pools(records).flat_map(|pool| &pool.made);
        let added = made.chain(history::pooled(records).map(|pooled| &pooled.path));
        Ok(Self { by_name: by_name.collect(), source, added: added.cloned().collect() })
    }

    /// What was there in place of this file or directory, a path from ROOT on.
    fn instead(&self, inside: &Path) -> Instead {
        match self.by_name.get(inside) {
            Some(original) => Instead::File(original.clone()),
            None if self.added.contains(inside) => Instead::Nothing,
            None => Instead::Same,
        }
    }

    /// A directory with the whole tree as it was. It is made in the directory `scratch` if there is none.
    pub fn directory(&self, tree: &Tree, scratch: &Path) -> Result<PathBuf> {
        if let Some(source) = &self.source {
            return Ok(source.clone());
        }
        let dir = scratch.join("original");
        std::fs::create_dir(&dir).map_err(Error::file("written", &dir))?;
        copy::copy_into(tree, &dir, |inside| self.instead(inside))?;
        Ok(dir)
    }
}

fn original(replacement: &Replacement, kept: &Kept) -> Result<PathBuf, String> {
    let name = replacement.names[0].display();
    let (path, file) = match (kept, &replacement.kept) {
        (Kept::Source(source), Some(kept)) => {
            let path = source.path.join(kept.strip_prefix("/").unwrap_or(kept));
            (path, source.name(kept).and_then(|name| contents::open(&name.at())))
        }
        (Kept::Backup(place), Some(kept)) => {
            (place.path.join(kept), beneath::file(&place.dir, kept))
        }
        (Kept::Unknown(why), _) => return Err(format!("{name}: {why}")),
        _ => return Err(format!("{name}: its original was not kept")),
    };
    match file.and_then(|file| state::is(&file, &replacement.original)) {
        Ok(true) => Ok(path),
        Ok(false) => Err(format!(
            "{name}: its original is not at {} any more, which was changed",
            path.display()
        )),
        Err(error) => {
            Err(format!("{name}: its original cannot be read at {}: {error}", path.display()))
        }
    }
}

/// Lists the files of the tree, but for what cannot be looked at.
pub fn files(tree: &Tree, originals: Option<&Originals>) -> Result<Files> {
    let mut files = Files { before: originals.map(|_| Vec::new()), ..Files::default() };
    let mut seen = HashSet::new();
    let top = tree.top()?.file().metadata();
    files.others += top.map_or(0, |stat| stat.blocks() * BLOCK);
    for entry in tree::walk(tree)?.filter_map(std::result::Result::ok) {
        let tree::Entry { name, stat } = entry;
        if !stat.is_dir() && stat.nlink() > 1 && !seen.insert(tree::id(&stat)) {
            continue;
        }
        if !stat.is_file() {
            files.others = files.others.saturating_add(stat.blocks().saturating_mul(BLOCK));
            continue;
        }
        let inside = name.path();
        let path = tree.path.join(inside.strip_prefix("/").unwrap_or(&inside));
        if let (Some(before), Some(originals)) = (&mut files.before, originals) {
            match originals.instead(&inside) {
                Instead::Same => before.push(path.clone()),
                Instead::File(original) => before.push(original),
                Instead::Nothing => {}
            }
        }
        files.now.push(path);
    }
    Ok(files)
}
