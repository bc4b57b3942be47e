//! What a start on this machine would map from the pool: the libraries, or something else.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use rayon::prelude::*;
use sha2::{Digest, Sha256};
use statify_elf::PAGE;
use statify_format::manifest::{EmbeddedFile, hex};
use statify_format::parameters::Parameters;
use statify_format::verity;
use statify_params::{Map, PoolFile};

use super::findings::Findings;
use super::problem::{Part, Problem, Problems};
use crate::converted::open::Converted;
use crate::converted::pages::as_in_original;
use crate::converted::pool::{self, Taken};

/// The most files of a pool that are told of, for each kind of what there is to tell.
const MOST: usize = 100;

/// Looks into the pool, in the directories of this machine. `found` is what [`super::check`] says of the file; if there are
/// problems, its tables say nothing of use.
pub fn check(converted: &Converted<'_>, found: &mut Findings) {
    let Some(path) = &converted.manifest.options.pool else { return };
    let Ok(parameters) = Parameters::read(&converted.elf) else { return };
    if !found.problems.is_empty() {
        return;
    }
    let directory = match pool::open(parameters.pool()) {
        Ok(directory) => directory,
        Err(why) => {
            let path = statify_printable::path(path);
            return found.notices.push(format!(
                "the pool {path}, or a directory that leads there: {why}; a start here takes nothing from it"
            ));
        }
    };
    let mut maps: HashMap<usize, Vec<Map>> = HashMap::new();
    for map in parameters.maps() {
        maps.entry(map.pool_file.into()).or_default().push(map);
    }
    let libraries = converted.manifest.files.iter().filter(|file| file.pooled.is_some());
    let libraries: HashMap<&str, &EmbeddedFile> =
        libraries.map(|file| (&*file.sha256, file)).collect();
    let files: Vec<PoolFile> = parameters.pool_files().collect();
    let look = |(index, record): (usize, &PoolFile)| {
        let name = hex(&record.sha256);
        let file = libraries.get(&*name)?;
        let own = maps.get(&(index + 1)).map_or(&[][..], Vec::as_slice);
        let path = statify_printable::path(&path.join(&name));
        match judge(converted, &directory, record, own) {
            Ok(()) => None,
            Err(Verdict::Wrong(what)) => {
                let what = format!("the pool's file {path} {what}");
                Some(Err(Problem { part: Part::Pool, ..Problem::of(file, what) }))
            }
            Err(Verdict::NotTaken(why)) => {
                let library = statify_printable::path(&file.path);
                Some(Ok(format!(
                    "{library}: the pool's file {path}: {why}; a start here does not take it"
                )))
            }
        }
    };
    let judged: Vec<Result<String, Problem>> =
        files.par_iter().enumerate().filter_map(look).collect();
    let mut problems = Problems::default();
    let mut notices = Vec::new();
    for one in judged {
        match one {
            Ok(notice) => notices.push(notice),
            Err(problem) => problems.push(problem),
        }
    }
    let more = notices.len().saturating_sub(MOST);
    found.notices.extend(notices.into_iter().take(MOST));
    if more > 0 {
        found
            .notices
            .push(format!("{more} more of the pool's files are not taken by a start here"));
    }
    found.problems.extend(problems.into_vec());
}

/// What becomes of a file of the pool that is not as it should be.
enum Verdict {
    /// A start does not take it, and why.
    NotTaken(String),
    /// A start takes it, and it is wrong.
    Wrong(&'static str),
}

/// Whether a start takes a file, and gets from it what the output has.
fn judge(
    converted: &Converted<'_>,
    directory: &OwnedFd,
    record: &PoolFile,
    maps: &[Map],
) -> Result<(), Verdict> {
    let taken = pool::open_file(directory, record);
    let Taken { file, is_guarded } = taken.map_err(|why| Verdict::NotTaken(why.to_string()))?;
    let bytes = file.bytes();
    if <[u8; 32]>::from(Sha256::digest(bytes)) != record.sha256 {
        return Err(if is_guarded {
            Verdict::NotTaken("it is not the library, and fs-verity says so".into())
        } else {
            Verdict::Wrong("is not the library: a start would map it")
        });
    }
    if verity::digest(bytes) != record.verity {
        return Err(Verdict::Wrong("has another fs-verity digest than the output says"));
    }
    let is_same = |map: &Map| {
        let stored =
            map.offset.checked_add(map.len).and_then(|end| converted.part(map.offset..end));
        let offset = u64::from(map.pool_page) * PAGE;
        stored.is_some_and(|stored| as_in_original(stored, bytes, offset) == map.len / PAGE)
    };
    if maps.iter().all(is_same) {
        Ok(())
    } else {
        Err(Verdict::Wrong("has other pages than the output: a start would map them"))
    }
}
