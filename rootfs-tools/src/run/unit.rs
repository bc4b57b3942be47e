//! One conversion: of a program, for all files that are equal to it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use statify::Error as Cause;
use statify::sharing::Sharing;
use statify_files::contents;
use statify_files::metadata::{Contents, Metadata as Kept};
use statify_format::manifest::{EmbeddedFile, Manifest};

use super::donor::Donor;
use super::replace::Ready;
use super::stop::Stop;
use crate::cache::{Cache, Hit};
use crate::error::Error;
use crate::error::reason::Reason;
use crate::journal::record::{Converted, Embedded, Failure, Original};
use crate::journal::state;
use crate::measure::size::BLOCK;
use crate::programs::find::Candidate;
use crate::programs::plan::Unit;
use crate::tree::Tree;

/// What came of it.
#[derive(Debug, Default)]
pub struct Done {
    /// Programs that may get their names.
    pub ready: Vec<Ready>,
    /// Programs that stay as they are.
    pub failures: Vec<Failure>,
    /// What ends the run.
    pub stop: Option<Error>,
}

/// What conversions of a run have in common.
#[derive(Debug)]
pub struct With<'a> {
    /// The tree.
    pub tree: &'a Tree,
    /// What is asked of each.
    pub options: statify::Options,
    /// Where earlier ones are kept.
    pub cache: Option<Cache>,
    /// Where blocks to be shared are; the conversions have it, too.
    pub donor: Option<Arc<Donor>>,
}

impl With<'_> {
    /// Others may share what is in this output.
    fn remember(&self, output: &Path) {
        if let Some(donor) = &self.donor {
            donor.remember(output);
        }
    }
}

/// A converted file, before anything is made of it.
struct Output {
    path: PathBuf,
    size: u64,
    shared: u64,
    build_id: String,
    files: Vec<Embedded>,
    cached: bool,
}

/// Converts `unit`, the `number`th. Afterwards its files are in the working places of their directories,
/// with everything that belongs to the original, and written, but not all on the disk.
pub fn convert(unit: Unit, number: usize, with: &With<'_>) -> Done {
    let mut done = Done::default();
    let output = match make(&unit, number, with) {
        Ok(output) => output,
        Err(Stop::Run(error)) => return Done { stop: Some(error), ..done },
        Err(Stop::Program(reason)) => {
            done.failures = unit.candidates.iter().map(|c| failure(c, reason.clone())).collect();
            return done;
        }
    };
    let mut works = vec![output.path.clone()];
    for (index, candidate) in unit.candidates.iter().enumerate().skip(1) {
        match candidate.names[0].directory.work(format!("{number}.{index}")) {
            Ok(work) => works.push(work),
            Err(source) => {
                let path = candidate.names[0].path();
                return Done { stop: Some(Error::Stopped { path, source }), ..done };
            }
        }
    }
    // The first one's metadata come last: it is what the others are copied from.
    let mut candidates: Vec<_> = unit.candidates.into_iter().zip(works).collect();
    candidates.rotate_left(1);
    for (candidate, work) in candidates {
        match dress(&candidate, &work, &output) {
            Ok(()) => done.ready.push(Ready {
                original: Original {
                    size: candidate.stat.len(),
                    allocated: candidate.stat.blocks() * BLOCK,
                    sha256: unit.sha256.clone(),
                },
                converted: Converted {
                    size: output.size,
                    // Known when it is on the disk.
                    allocated: 0,
                    build_id: output.build_id.clone(),
                    shared: output.shared,
                    cached: output.cached,
                    files: output.files.clone(),
                },
                names: candidate.names,
                stat: candidate.stat,
                work,
            }),
            Err(error) => {
                let path = candidate.names[0].path();
                let _ = std::fs::remove_file(&work);
                match Stop::at(path.clone(), &path, "given what belongs to it", error) {
                    Stop::Run(error) => done.stop = Some(error),
                    Stop::Program(reason) => done.failures.push(failure(&candidate, reason)),
                }
            }
        }
    }
    done
}

fn failure(candidate: &Candidate, reason: Reason) -> Failure {
    Failure::new(candidate.names.iter().map(|name| name.path()).collect(), reason)
}

fn make(unit: &Unit, number: usize, with: &With<'_>) -> Result<Output, Stop> {
    let first = &unit.candidates[0];
    let program = &first.program.path;
    let path = first.names[0].directory.work(number.to_string());
    let path = path.map_err(|error| not_written(error, program))?;
    // What privileged programs consist of is checked anew each time.
    let cache = with.cache.as_ref().filter(|_| first.program.privileges.is_none());
    let (tree, sha256) = (with.tree, &unit.sha256);
    let sharing = with.donor.as_deref().map(|donor| donor as &dyn Sharing);
    let hit = cache.and_then(|cache| cache.find(tree, program, sha256, &path, sharing));
    if let Some(Hit { manifest, size, shared }) = hit {
        with.remember(&path);
        return output(path, [size, shared], &manifest, program, true);
    }
    let report = statify::convert(program, &path, &with.options, |_| {})
        .map_err(|error| not_converted(error, program))?;
    let manifest = report.manifest.unwrap_or_else(|| unreachable!("a finished conversion has one"));
    if manifest.files.first().is_none_or(|file| file.sha256 != unit.sha256) {
        let _ = std::fs::remove_file(&path);
        return Err(Stop::Program(Reason::changed(program)));
    }
    with.remember(&path);
    if let Some(cache) = cache {
        cache.keep(tree, program, sha256, &path, &manifest);
    }
    output(path, [report.size, report.shared], &manifest, program, false)
}

fn output(
    path: PathBuf,
    [size, shared]: [u64; 2],
    manifest: &Manifest,
    program: &Path,
    cached: bool,
) -> Result<Output, Stop> {
    let build_id = contents::open(&path).and_then(|file| state::build_id(&file));
    let build_id = build_id.map_err(|error| not_written(error, program))?.unwrap_or_default();
    Ok(Output { path, size, shared, build_id, files: embedded(manifest), cached })
}

/// What a report wants to know of the manifest.
fn embedded(manifest: &Manifest) -> Vec<Embedded> {
    let stored = |file: &EmbeddedFile| {
        file.memory.iter().filter(|m| m.stored_at.is_some()).map(|memory| memory.size).sum()
    };
    let describe = |file: &EmbeddedFile| Embedded {
        path: file.path.to_string_lossy().into_owned(),
        kind: file.kind,
        stored: stored(file),
        pooled: file.pooled.is_some().then(|| file.sha256.clone()),
    };
    manifest.files.iter().map(describe).collect()
}

fn not_written(error: io::Error, program: &Path) -> Stop {
    Stop::at(program.to_owned(), program, "written", error)
}

fn not_converted(error: Cause, program: &Path) -> Stop {
    match error {
        Cause::Output(_, source) => not_written(source, program),
        // So it will be with every program.
        Cause::Room(_) | Cause::Trace(..) => Stop::Run(error.into()),
        Cause::CannotPreserve(_, source) => {
            Stop::Program(Reason::of(&Cause::CannotPreserve(program.to_owned(), source)))
        }
        Cause::Check(_, what) => Stop::Program(Reason::of(&Cause::Check(program.to_owned(), what))),
        error => Stop::Program(Reason::of(&error)),
    }
}

/// Gives the file `work` all that the original has, making it first if it is not the conversion's own.
fn dress(candidate: &Candidate, work: &Path, output: &Output) -> io::Result<()> {
    let stat = &candidate.stat;
    if work != output.path {
        contents::copy(&contents::open(&output.path)?, work)?;
    }
    let accessed = (stat.atime(), stat.atime_nsec());
    let modified = (stat.mtime(), stat.mtime_nsec());
    let original = Kept::of(&candidate.names[0].at())?.at_times(accessed, modified);
    original.give_to(work, Contents::Converted)
}
